#pragma once

#include <fourfold/base/codec.hpp>

#include <bit>
#include <cstdint>
#include <type_traits>

namespace fourfold {

/// Where a function lives, in terms that another process of the same build understands, whose executable and
/// libraries are loaded elsewhere: a module and an offset in it.
struct code_address {
  /// 0: the executable; else a hash of the shared library's path and build, so that an address in a library that
  /// was replaced on disk meanwhile is an error there, and not another function.
  std::uint64_t module = 0;
  std::uint64_t offset = 0;
};

/// Throws `error` if `address` is in no loaded module.
[[nodiscard]] code_address to_code_address(const void* address);
/// Throws decode_error if the module is not loaded in this process (a library that main() loaded with
/// dlopen), or the offset is not in its code.
[[nodiscard]] const void* from_code_address(const code_address& address);

namespace detail {

struct member_function_parts {
  std::uint64_t function;
  std::uint64_t adjustment;
};
void encode_member_function(encoder& out, const member_function_parts& function);
[[nodiscard]] member_function_parts decode_member_function(decoder& in);

} // namespace detail

/// Function pointers travel as their code address.
template <class R, class... A>
struct codec<R (*)(A...)> {
  using pointer = R (*)(A...);
  static constexpr std::size_t least_bytes = 2 * sizeof(std::uint64_t);
  static void encode(encoder& out, const pointer& function) {
    const code_address address = to_code_address(reinterpret_cast<const void*>(function));
    out.write(address.module, address.offset);
  }
  static pointer decode(decoder& in) {
    const auto module = in.read<std::uint64_t>();
    const auto offset = in.read<std::uint64_t>();
    return reinterpret_cast<pointer>(
        const_cast<void*>(from_code_address({.module = module, .offset = offset})));
  }
};
template <class R, class... A>
struct codec<R (*)(A...) noexcept> {
  using pointer = R (*)(A...) noexcept;
  static constexpr std::size_t least_bytes = 2 * sizeof(std::uint64_t);
  static void encode(encoder& out, const pointer& function) { codec<R (*)(A...)>::encode(out, function); }
  static pointer decode(decoder& in) { return reinterpret_cast<pointer>(codec<R (*)(A...)>::decode(in)); }
};

/// Pointers to member functions, too. In the Itanium C++ ABI one is an address or, for a virtual function, a place in
/// the virtual table, and an adjustment of the object; all but the address are the same in every process of a build.
template <class M>
  requires std::is_member_function_pointer_v<M>
struct codec<M> {
  static constexpr std::size_t least_bytes = 2 * sizeof(std::uint64_t);
  static void encode(encoder& out, const M& function) {
    detail::encode_member_function(out, parts_of(function));
  }
  static M decode(decoder& in) { return std::bit_cast<M>(detail::decode_member_function(in)); }

 private:
  static detail::member_function_parts parts_of(const M& function) noexcept {
    return std::bit_cast<detail::member_function_parts>(function);
  }
};

} // namespace fourfold
