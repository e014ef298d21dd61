#pragma once

#include <fourfold/base/codec.hpp>
#include <fourfold/process/code_address.hpp>
#include <fourfold/process/detail/call_thunk.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold::detail {

/// A call on its way to another process, outside of a pool's rings: the code address of its thunk, the function
/// object and the arguments. No bytes: no call.
struct carried_call {
  std::vector<std::byte> bytes;
  bool is_coroutine = false;
};

/// Encodes `f(arguments...)`. What cannot travel is a compile-time error.
template <class F, class... A>
carried_call carry_call(F&& f, A&&... arguments) {
  using function = std::decay_t<F>;
  using carried = carried_arguments_t<function, A...>;
  static_assert(std::is_constructible_v<carried, A&&...> || sizeof...(A) == 0,
                "these arguments do not fit the function's parameters");
  static_assert(
      is_stateless<function> || encodable<function>,
      "the function object holds something that cannot travel to another process (a reference, a pointer, "
      "or a type without a codec); capture plain values, or pass them as arguments");
  if constexpr (!is_stateless<function>)
    require_encodable<function>();
  require_encodable<carried>();
  using call = thunk<function, carried>;
  const code_address address = to_code_address(call::address());
  byte_buffer bytes;
  encoder out(bytes);
  out.write(address.module, address.offset);
  encode_callable<function>(out, f);
  out.write(carried(std::forward<A>(arguments)...));
  return {.bytes = {bytes.begin(), bytes.end()}, .is_coroutine = call::is_coroutine};
}

/// Makes the call here, a coroutine's on a loop of its own; its result is dropped. Throws what it throws.
void run_carried_call(const carried_call& call);

} // namespace fourfold::detail
