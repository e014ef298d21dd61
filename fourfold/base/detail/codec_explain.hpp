#pragma once

// Compile-time errors in words for what the codec does not carry. The compiler adds the name of the type:
// "[with T = …]", and in the notes the types around it.

#include <fourfold/base/detail/codec_traits.hpp>

namespace fourfold::detail {

template <class T> inline constexpr bool can_encode = false;

template <class T> consteval void explain();

template <class... T> consteval void explain_each(type_list<T...>) {
  (
      [] {
        if constexpr (!is_carried<T>)
          explain<T>();
      }(),
      ...);
}

template <class T> consteval void explain_aggregate() {
  if constexpr (requires { std::tuple_size<T>::value; })
    static_assert(can_encode<T>,
                  "T specialises std::tuple_size, which hides its members: specialise fourfold::codec<T>");
  else if constexpr (member_count<T> == uncountable)
    static_assert(
        can_encode<T>,
        "the members of T cannot be counted, because one is a reference, or cannot be made from a value: "
        "specialise fourfold::codec<T>");
  else if constexpr (member_count<T> > max_aggregate_members)
    static_assert(can_encode<T>,
                  "T has more than 32 members: group them in structs, or specialise fourfold::codec<T>");
  else if constexpr (has_base<T>)
    static_assert(
        can_encode<T>,
        "T is an aggregate with a base class, whose members cannot be listed: make the base a member, or "
        "specialise fourfold::codec<T>");
  else if constexpr (!all_carried(members_of<T>{}, type_list<T>{}))
    explain_each(members_of<T>{});
  else
    static_assert(can_encode<T>,
                  "T has a C array among its members and so must be default-constructible and its members "
                  "assignable: use std::array, or specialise fourfold::codec<T>");
}

template <class T> consteval void explain_class() {
  if constexpr (std::is_union_v<T>)
    static_assert(can_encode<T>, "T is a union, which does not say what it holds: use std::variant");
  else if constexpr (requires(const T& f) { T::operator(); })
    static_assert(
        can_encode<T>,
        "T is a lambda or function object whose captures cannot be encoded: capture by value, and no "
        "pointers, references or padding, or pass the values as arguments");
  else if constexpr (std::is_polymorphic_v<T>)
    static_assert(can_encode<T>, "T is polymorphic: specialise fourfold::codec<T>");
  else if constexpr (requires { typename T::key_type; } && !stateless_member<T>)
    static_assert(can_encode<T>, "the comparator or hash function of T has a state, which cannot be encoded");
  else if constexpr (std::is_trivially_copyable_v<T>)
    static_assert(
        can_encode<T>,
        "T is a trivially copyable class that may hold a pointer, reference, bool or padding out of the "
        "codec's sight. A view cannot cross a process boundary (use std::string, std::vector); if the bytes "
        "of T are all of it, write: template <> struct fourfold::codec<T> : fourfold::codec_as_bytes<T> {};");
  else
    static_assert(can_encode<T>,
                  "T has members that the codec cannot see: specialise fourfold::codec<T> (see "
                  "fourfold/base/codec.hpp)");
}

template <class T> consteval void explain() {
  constexpr shape kind = shape_of<std::remove_const_t<T>>;
  if constexpr (std::is_const_v<T>)
    explain<std::remove_const_t<T>>();
  else if constexpr (std::is_reference_v<T>)
    static_assert(can_encode<T>, "a reference cannot cross a process boundary: pass a value");
  else if constexpr (std::is_void_v<T> || std::is_function_v<T>)
    static_assert(can_encode<T>, "void and functions are not values that can be encoded");
  else if constexpr (std::is_pointer_v<T> && std::is_function_v<std::remove_pointer_t<T>>)
    static_assert(can_encode<T>,
                  "a function pointer means nothing in another process, unless a higher floor specialises "
                  "fourfold::codec for it");
  else if constexpr (std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T>)
    static_assert(
        can_encode<T>,
        "a pointer means nothing in another process: pass the value, std::unique_ptr, std::string or "
        "std::vector");
  else if constexpr (kind == shape::hook)
    static_assert(can_encode<T>,
                  "fourfold::codec<T> needs `static void encode(fourfold::encoder&, const T&)` and "
                  "`static T decode(fourfold::decoder&)`");
  else if constexpr (std::is_array_v<T> && (kind == shape::none || is_carried<T>))
    static_assert(can_encode<T>,
                  "a C array is no value by itself: use std::array, std::vector or std::string");
  else if constexpr (std::is_enum_v<T>)
    static_assert(
        can_encode<T>,
        "the values of an enumeration without an underlying type cannot be checked: write `enum class T` or "
        "`enum T : int`");
  else if constexpr (std::is_volatile_v<T>)
    static_assert(can_encode<T>, "a volatile object is no value that can be encoded");
  else if constexpr (kind == shape::array)
    explain<std::remove_extent_t<T>>();
  else if constexpr (kind == shape::tuple || kind == shape::variant)
    explain_each(list_of<T>{});
  else if constexpr (kind == shape::owner)
    explain<typename T::element_type>();
  else if constexpr (kind == shape::map)
    explain_each(type_list<typename T::key_type, typename T::mapped_type>{});
  else if constexpr (kind == shape::std_array || kind == shape::optional || kind == shape::sequence ||
                     kind == shape::set)
    explain<typename T::value_type>();
  else if constexpr (std::is_aggregate_v<T> && !std::is_union_v<T>)
    explain_aggregate<T>();
  else
    explain_class<T>();
}

} // namespace fourfold::detail
