#pragma once

#include <fourfold/base/codec.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/process/code_address.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fourfold::detail {

// How a call travels: as the address of a thunk, instantiated for the function's type and the arguments'
// types, and the encoded function object and arguments. The thunk decodes them on the other side and makes
// the call.

/// Runs a function: reads from `in`, appends the encoded result to `out`.
using function_thunk = void (*)(decoder& in, byte_buffer& out);
/// Reads from `in` and makes the coroutine, whose result is the encoded one.
using coroutine_thunk = task<byte_buffer> (*)(decoder& in);

/// The types of a function's parameters, where they can be told: std::tuple<P...>; void where not.
template <class F>
struct parameters_of {
  using type = void;
};
template <class R, class... P>
struct parameters_of<R (*)(P...)> {
  using type = std::tuple<P...>;
};
template <class R, class... P>
struct parameters_of<R (*)(P...) noexcept> : parameters_of<R (*)(P...)> {};

/// A member function's class and parameters.
template <class F>
struct member_function;
template <class C, class R, class... P>
struct member_function<R (C::*)(P...)> {
  using object = C;
  using parameters = std::tuple<P...>;
  template <class First>
  using with_object = std::tuple<First, P...>;
};
template <class C, class R, class... P>
struct member_function<R (C::*)(P...) const> : member_function<R (C::*)(P...)> {};
template <class C, class R, class... P>
struct member_function<R (C::*)(P...)&> : member_function<R (C::*)(P...)> {};
template <class C, class R, class... P>
struct member_function<R (C::*)(P...) & noexcept> : member_function<R (C::*)(P...)> {};
template <class C, class R, class... P>
struct member_function<R (C::*)(P...) &&> : member_function<R (C::*)(P...)> {};
template <class C, class R, class... P>
struct member_function<R (C::*)(P...) const&> : member_function<R (C::*)(P...)> {};
template <class C, class R, class... P>
struct member_function<R (C::*)(P...) noexcept> : member_function<R (C::*)(P...)> {};
template <class C, class R, class... P>
struct member_function<R (C::*)(P...) const noexcept> : member_function<R (C::*)(P...)> {};
template <class C, class R, class... P>
struct member_function<R (C::*)(P...) const & noexcept> : member_function<R (C::*)(P...)> {};
template <class C, class R, class... P>
struct member_function<R (C::*)(P...) && noexcept> : member_function<R (C::*)(P...)> {};

template <class F>
  requires requires { typename member_function<decltype(&F::operator())>::parameters; }
struct parameters_of<F> {
  using type = typename member_function<decltype(&F::operator())>::parameters;
};

/// What an argument travels as: a view or a C string as the string it shows.
template <class A>
struct travels_as {
  using type = std::remove_cvref_t<A>;
};
template <class A>
  requires std::is_convertible_v<A, std::string_view> &&
           (std::is_pointer_v<std::decay_t<A>> || std::is_same_v<std::remove_cvref_t<A>, std::string_view>)
struct travels_as<A> {
  using type = std::string;
};

template <class Parameters, class... A>
struct carried_arguments {
  using type = std::tuple<typename travels_as<A>::type...>;
};
// With a known signature arguments travel as the parameters' types, so that implicit conversions happen
// before the journey.
template <class... P, class... A>
  requires(sizeof...(P) == sizeof...(A))
struct carried_arguments<std::tuple<P...>, A...> {
  using type = std::tuple<typename travels_as<P>::type...>;
};
// A member function's object travels as what was passed: an object of the class or of one derived from it.
template <class F, class... A>
struct arguments_of_call : carried_arguments<typename parameters_of<F>::type, A...> {};
template <class F, class Object, class... A>
  requires std::is_member_function_pointer_v<F>
struct arguments_of_call<F, Object, A...>
    : carried_arguments<typename member_function<F>::template with_object<Object>, Object, A...> {};
template <class F, class... A>
using carried_arguments_t = typename arguments_of_call<F, A...>::type;

/// Whether a function object has no state to carry: a captureless lambda.
template <class F>
inline constexpr bool is_stateless = std::is_empty_v<F> && std::is_default_constructible_v<F>;

template <class F>
void encode_callable(encoder& out, const F& f) {
  if constexpr (!is_stateless<F>)
    out.write(f);
}
template <class F>
F decode_callable(decoder& in) {
  if constexpr (is_stateless<F>) {
    return F{};
  } else {
    return in.read<F>();
  }
}

template <class F, class Arguments>
inline constexpr bool can_be_called_with = false;
template <class F, class... A>
inline constexpr bool can_be_called_with<F, std::tuple<A...>> = std::is_invocable_v<F, A...>;

/// Whether the object of a member function was passed as an address.
template <class F, class... A>
inline constexpr bool passes_object_by_address = false;
template <class F, class Object, class... A>
inline constexpr bool passes_object_by_address<F, Object, A...> =
    std::is_member_function_pointer_v<F> && std::is_pointer_v<std::remove_cvref_t<Object>>;

template <class F, class... A>
inline constexpr bool arguments_fit =
    sizeof...(A) == 0 || std::is_constructible_v<carried_arguments_t<F, A...>, A&&...>;

template <class F, class Arguments>
struct thunk;

template <class F, class... A>
struct thunk<F, std::tuple<A...>> {
  using raw_result = std::invoke_result_t<F, A...>;
  using result = std::remove_cvref_t<typename unwrapped_task<raw_result>::type>;
  static constexpr bool is_coroutine = is_coroutine_result_v<raw_result>;

  static void run_function(decoder& in, byte_buffer& out) {
    F f = decode_callable<F>(in);
    auto arguments = in.read<std::tuple<A...>>();
    in.finish();
    if constexpr (std::is_void_v<result>) {
      std::apply(std::move(f), std::move(arguments));
    } else {
      encode_into(out, static_cast<const result&>(std::apply(std::move(f), std::move(arguments))));
    }
  }

  static task<byte_buffer> run_coroutine(decoder& in) {
    F f = decode_callable<F>(in);
    auto arguments = in.read<std::tuple<A...>>();
    in.finish();
    return finish(std::move(f), std::move(arguments));
  }

  // The function object and the arguments live in this coroutine's frame, as long as the call.
  static task<byte_buffer> finish(F f, std::tuple<A...> arguments) {
    byte_buffer out;
    if constexpr (std::is_void_v<result>) {
      co_await std::apply(f, std::move(arguments));
    } else {
      encode_into(out, static_cast<const result&>(co_await std::apply(f, std::move(arguments))));
    }
    co_return out;
  }

  [[nodiscard]] static const void* address() noexcept {
    if constexpr (is_coroutine) {
      return reinterpret_cast<const void*>(static_cast<coroutine_thunk>(&run_coroutine));
    } else {
      return reinterpret_cast<const void*>(static_cast<function_thunk>(&run_function));
    }
  }
};

template <class R>
inline constexpr bool result_travels = encodable<R>;
template <>
inline constexpr bool result_travels<void> = true;

/// Whether a call can be made in another process: require_travelling_call() says why not.
template <class F, class... A>
consteval bool call_travels() {
  if constexpr (!passes_object_by_address<F, A...> && arguments_fit<F, A...>) {
    using carried = carried_arguments_t<F, A...>;
    if constexpr ((is_stateless<F> || encodable<F>) && encodable<carried> && can_be_called_with<F, carried>)
      return result_travels<typename thunk<F, carried>::result>;
  }
  return false;
}

/// Compiles if the call can be made in another process; otherwise says in words what cannot travel.
template <class F, class... A>
consteval void require_travelling_call() {
  static_assert(
      !passes_object_by_address<F, A...>,
      "process_pool::submit: the address of an object means nothing in another process; pass the object "
      "itself, which is copied there");
  if constexpr (!passes_object_by_address<F, A...>) {
    static_assert(arguments_fit<F, A...>,
                  "process_pool::submit: these arguments do not fit the function's parameters");
    static_assert(
        is_stateless<F> || encodable<F>,
        "process_pool::submit: the function object holds something that cannot travel to another process (a "
        "reference, a pointer, or a type without a codec); capture plain values, or pass them as arguments");
    if constexpr (!is_stateless<F>)
      require_encodable<F>();
    require_encodable<carried_arguments_t<F, A...>>();
    static_assert(
        can_be_called_with<F, carried_arguments_t<F, A...>>,
        "process_pool::submit: the function cannot be called with copies of these arguments (too many or "
        "too few, or a parameter is a non-const reference, which could not bring anything back)");
    if constexpr (can_be_called_with<F, carried_arguments_t<F, A...>>) {
      using result = typename thunk<F, carried_arguments_t<F, A...>>::result;
      if constexpr (!std::is_void_v<result>)
        require_encodable<result>();
    }
  }
}

} // namespace fourfold::detail
