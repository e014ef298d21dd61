#pragma once

// Which types the codec carries, and in which of a few shapes. Containers and smart pointers are recognised
// by their interface, so that this header includes none of them. The shapes are written and read in
// codec_values.hpp.

#include <fourfold/base/detail/aggregate.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace fourfold {

template <class T> struct codec;
class encoder;
class decoder;

namespace detail {

enum class shape {
  none,
  hook,
  plain, // a scalar for which every pattern of bits is a value
  boolean,
  long_double, // has padding
  enumeration,
  array,
  std_array,
  tuple, // and pair
  optional,
  variant,
  owner, // unique_ptr, shared_ptr
  path,
  bits,    // vector<bool>
  bit_set, // bitset
  sequence,
  set,
  map,
  complex,
  empty,     // a class without members that is no aggregate, such as a lambda without captures
  aggregate, // members are seen
  opaque,    // members are not seen, but proven to be bytes
};

__extension__ using int128 = __int128;
__extension__ using uint128 = unsigned __int128;

template <class T>
concept hooked = requires { sizeof(codec<T>); };

template <class T>
concept complete_hook = requires(encoder& out, decoder& in, const T& value) {
  codec<T>::encode(out, value);
  { codec<T>::decode(in) } -> std::same_as<T>;
};

// Only an enumeration with a fixed underlying type can be initialised from a number in braces; only there is
// every number a value.
template <class T>
concept fixed_enumeration = std::is_enum_v<T> && requires { T{std::underlying_type_t<T>{}}; };

template <class T> inline constexpr bool is_tuple = false;
template <class... T> inline constexpr bool is_tuple<std::tuple<T...>> = true;
template <class A, class B> inline constexpr bool is_tuple<std::pair<A, B>> = true;
template <class T> inline constexpr bool is_std_array = false;
template <class T, std::size_t N> inline constexpr bool is_std_array<std::array<T, N>> = true;
template <class T> inline constexpr bool is_optional = false;
template <class T> inline constexpr bool is_optional<std::optional<T>> = true;
template <class T> inline constexpr bool is_variant = false;
template <class... T> inline constexpr bool is_variant<std::variant<T...>> = true;

// The arguments of a class template; the interface of a container alone is not enough, since a class that
// derives from a container may hold more than its elements.
template <class T> struct arguments_of {
  using type = void;
};
template <template <class...> class Template, class... A> struct arguments_of<Template<A...>> {
  using type = type_list<A...>;
};

template <class T> inline constexpr bool is_owner_of = false;
template <class E, class... Deleter>
inline constexpr bool is_owner_of<type_list<E, Deleter...>> =
    std::is_object_v<E> && !std::is_array_v<E> &&
    (... && (std::is_empty_v<Deleter> && std::is_default_constructible_v<Deleter>));

// A deleter that is not a class template over the element (a function, a class that calls fclose) frees
// something that `new` did not make.
template <class T> inline constexpr bool deletes = true;
template <class T>
  requires requires { typename T::deleter_type; }
inline constexpr bool deletes<T> = std::is_same_v<typename arguments_of<typename T::deleter_type>::type,
                                                  type_list<typename T::element_type>>;

template <class T>
concept owner = is_owner_of<typename arguments_of<T>::type> && deletes<T> &&
                (requires { typename T::deleter_type; } || requires(const T& p) { p.use_count(); }) &&
                requires(const T& p, typename T::element_type* raw) {
                  { p.get() } -> std::same_as<typename T::element_type*>;
                  { *p } -> std::same_as<typename T::element_type&>;
                  T(raw);
                };

template <class T>
concept path_like = requires(const T& p) {
  T::preferred_separator;
  { p.native() } -> std::same_as<const typename T::string_type&>;
  T(typename T::string_type());
};

template <class T>
concept bit_set = std::default_initializable<T> && requires(T& b, const T& c, std::size_t i) {
  { c.test(i) } -> std::same_as<bool>;
  { c.size() } -> std::same_as<std::size_t>;
  b.set(i, true);
  b.flip();
};

template <class T>
concept container = !std::is_same_v<typename arguments_of<T>::type, void> && std::default_initializable<T> &&
                    requires(T& t, const T& c) {
                      typename T::value_type;
                      typename T::allocator_type;
                      { *c.begin() } -> std::convertible_to<const typename T::value_type&>;
                      c.begin() != c.end();
                      t.clear();
                    };

template <class T> inline constexpr bool stateless_member = true;
template <class T>
  requires requires { typename T::key_compare; }
inline constexpr bool stateless_member<T> = std::is_empty_v<typename T::key_compare>;
template <class T>
  requires requires { typename T::hasher; }
inline constexpr bool stateless_member<T> =
    std::is_empty_v<typename T::hasher> && std::is_empty_v<typename T::key_equal>;

template <class T>
concept keyed = container<T> && requires(const T& c) {
  typename T::key_type;
  c.size();
} && stateless_member<T>;

template <class T>
concept map_like = keyed<T> && requires { typename T::mapped_type; };

template <class T>
concept sequence = container<T> && !requires { typename T::key_type; } && (requires(T& t, typename T::value_type v) {
  t.push_back(std::move(v));
} || requires(T& t, typename T::value_type v) { t.insert_after(t.before_begin(), std::move(v)); });

// vector<bool>
template <class T>
concept bit_sequence = sequence<T> && std::is_same_v<typename T::value_type, bool> &&
                       !std::is_same_v<typename T::reference, bool&>;

template <class T>
concept complex_like =
    std::is_floating_point_v<typename T::value_type> && !std::is_aggregate_v<T> && requires(const T& z) {
      { z.real() } -> std::same_as<typename T::value_type>;
      { z.imag() } -> std::same_as<typename T::value_type>;
      T(z.real(), z.imag());
    } && sizeof(T) == 2 * sizeof(typename T::value_type);

template <std::size_t N> struct raw_bytes {
  unsigned char byte[N];
};

// Proves for a trivially copyable class of unseen members that every pattern of bits is a value of it: a
// constant expression may not cast the bits of pointers, references and unions, and padding, bit-fields and
// bool do not give back all the bits put in.
template <class T> consteval bool keeps_all_bits() {
  raw_bytes<sizeof(T)> ones{};
  for (unsigned char& byte : ones.byte)
    byte = 0xff;
  const auto back = __builtin_bit_cast(raw_bytes<sizeof(T)>, __builtin_bit_cast(T, ones));
  for (unsigned char byte : back.byte) {
    if (byte != 0xff)
      return false;
  }
  return true;
}
template <class T>
concept provably_bytes = sizeof(T) <= 4096 && requires {
  typename std::bool_constant<(keeps_all_bits<T>(), true)>;
} && std::bool_constant<keeps_all_bits<T>()>::value;

// The order of the questions matters below, so equal answers are not joined.
// NOLINTBEGIN(bugprone-branch-clone)
template <class T> consteval shape class_shape() {
  if constexpr (std::is_union_v<T>)
    return shape::none;
  else if constexpr (is_std_array<T>)
    return shape::std_array;
  else if constexpr (is_tuple<T>)
    return shape::tuple;
  else if constexpr (is_optional<T>)
    return shape::optional;
  else if constexpr (is_variant<T>)
    return shape::variant;
  else if constexpr (path_like<T>)
    return shape::path;
  else if constexpr (owner<T>)
    return shape::owner;
  else if constexpr (bit_sequence<T>)
    return shape::bits;
  else if constexpr (map_like<T>)
    return shape::map;
  else if constexpr (keyed<T>)
    return shape::set;
  else if constexpr (sequence<T>)
    return shape::sequence;
  else if constexpr (std::is_aggregate_v<T>) {
    if constexpr (requires { std::tuple_size<T>::value; })
      return shape::none;
    else if constexpr (member_count<T> > max_aggregate_members)
      return shape::none;
    else if constexpr (has_base<T>)
      return shape::none;
    else
      return shape::aggregate;
  } else if constexpr (bit_set<T>)
    return shape::bit_set;
  else if constexpr (complex_like<T>)
    return shape::complex;
  else if constexpr (!std::is_trivially_copyable_v<T> || !std::is_move_constructible_v<T>)
    return shape::none;
  else if constexpr (std::is_empty_v<T>)
    return std::is_default_constructible_v<T> ? shape::empty : shape::none;
  else if constexpr (provably_bytes<T>)
    return shape::opaque;
  else
    return shape::none;
}

template <class T> consteval shape find_shape() {
  if constexpr (!std::is_object_v<T> || std::is_volatile_v<T>)
    return shape::none;
  else if constexpr (std::is_bounded_array_v<T>)
    return shape::array;
  else if constexpr (std::is_unbounded_array_v<T>)
    return shape::none;
  else if constexpr (hooked<T>)
    return shape::hook;
  else if constexpr (std::is_same_v<T, bool>)
    return shape::boolean;
  else if constexpr (std::is_same_v<T, long double> && std::numeric_limits<long double>::digits == 64)
    return shape::long_double;
  else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, int128> || std::is_same_v<T, uint128>)
    return shape::plain;
  else if constexpr (fixed_enumeration<T>)
    return shape::enumeration;
  else if constexpr (std::is_class_v<T>)
    return class_shape<T>();
  else
    return shape::none;
}

// T without const.
template <class T> inline constexpr shape shape_of = find_shape<T>();

template <class T, class... Seen> consteval bool carried();

template <class... Seen, class... M> consteval bool all_carried(type_list<M...>, type_list<Seen...>) {
  return (... && carried<M, Seen...>());
}

template <class T, class... Seen, class... M> consteval bool members_carried(type_list<M...> members) {
  if constexpr (!all_carried(members, type_list<T, Seen...>{}))
    return false;
  else if constexpr ((... || std::is_array_v<M>)) {
    // Arrays cannot be initialised by a function's result, so such an aggregate is made first and then
    // filled.
    return std::is_default_constructible_v<T> && std::is_move_assignable_v<T>;
  } else
    return true;
}

template <class... A> consteval type_list<std::remove_const_t<A>...> list_arguments(const std::tuple<A...>*);
template <class A, class B>
consteval type_list<std::remove_const_t<A>, std::remove_const_t<B>> list_arguments(const std::pair<A, B>*);
template <class... A> consteval type_list<std::remove_const_t<A>...>
list_arguments(const std::variant<A...>*);
template <class T> using list_of = decltype(list_arguments(static_cast<const T*>(nullptr)));

// `Seen`: the aggregates around T. A type that holds itself is carried if the rest of it is.
template <class T, class... Seen> consteval bool carried() {
  constexpr shape kind = shape_of<T>;
  if constexpr (kind == shape::none)
    return false;
  else if constexpr (kind == shape::hook)
    return complete_hook<T>;
  else if constexpr (kind == shape::array)
    return carried<std::remove_const_t<std::remove_extent_t<T>>, Seen...>();
  else if constexpr (kind == shape::tuple || kind == shape::variant)
    return all_carried(list_of<T>{}, type_list<Seen...>{});
  else if constexpr (kind == shape::owner)
    return carried<std::remove_const_t<typename T::element_type>, Seen...>();
  else if constexpr (kind == shape::map)
    return carried<typename T::key_type, Seen...>() && carried<typename T::mapped_type, Seen...>();
  else if constexpr (kind == shape::std_array || kind == shape::optional || kind == shape::sequence ||
                     kind == shape::set)
    return carried<std::remove_const_t<typename T::value_type>, Seen...>();
  else if constexpr (kind == shape::aggregate) {
    if constexpr ((... || std::is_same_v<T, Seen>))
      return true;
    else
      return members_carried<T, Seen...>(members_of<T>{});
  } else
    return true;
}

template <class T> inline constexpr bool is_carried = carried<std::remove_const_t<T>>();

// NOLINTEND(bugprone-branch-clone)

// Plain types are copied as a block: every pattern of bits is a value, and there is no padding.
template <class T> consteval bool find_plain();
template <class T> inline constexpr bool is_plain = find_plain<T>();

template <class... M> consteval bool members_plain(std::size_t size, type_list<M...>) {
  return (... && is_plain<M>) && (std::size_t{0} + ... + sizeof(M)) == size;
}

template <class T> consteval bool find_plain() {
  constexpr shape kind = shape_of<T>;
  if constexpr (kind == shape::plain || kind == shape::opaque)
    return true;
  else if constexpr (kind == shape::enumeration)
    return is_plain<std::underlying_type_t<T>>;
  else if constexpr (kind == shape::array)
    return is_plain<std::remove_const_t<std::remove_extent_t<T>>>;
  else if constexpr (kind == shape::std_array)
    return is_plain<typename T::value_type> && std::tuple_size_v<T> != 0;
  else if constexpr (kind == shape::complex)
    return is_plain<typename T::value_type>;
  else if constexpr (kind == shape::aggregate && std::is_trivially_copyable_v<T>) {
    if constexpr (member_count<T> == 0)
      return false;
    else
      return members_plain(sizeof(T), members_of<T>{});
  } else
    return false;
}

// The fewest bytes any value of T is encoded in; counts are checked against it.
template <class T> consteval std::size_t find_least_bytes();
template <class T> inline constexpr std::size_t least_bytes = find_least_bytes<T>();

template <class... M> consteval std::size_t add_least_bytes(type_list<M...>) {
  return (std::size_t{0} + ... + least_bytes<M>);
}

using wire_size = std::uint64_t;
using wire_bool = std::uint8_t;
template <class Variant>
using wire_index = std::conditional_t<(std::variant_size_v<Variant> <= 256), std::uint8_t, std::uint32_t>;

template <class T> consteval std::size_t find_least_bytes() {
  constexpr shape kind = shape_of<T>;
  if constexpr (is_plain<T>)
    return sizeof(T);
  else if constexpr (kind == shape::hook) {
    if constexpr (requires { codec<T>::least_bytes; })
      return codec<T>::least_bytes;
    else
      return 0;
  } else if constexpr (kind == shape::boolean || kind == shape::optional || kind == shape::owner)
    return sizeof(wire_bool);
  else if constexpr (kind == shape::variant)
    return sizeof(wire_index<T>);
  else if constexpr (kind == shape::long_double)
    return 10;
  else if constexpr (kind == shape::enumeration)
    return least_bytes<std::underlying_type_t<T>>;
  else if constexpr (kind == shape::array)
    return std::extent_v<T> * least_bytes<std::remove_const_t<std::remove_extent_t<T>>>;
  else if constexpr (kind == shape::std_array)
    return std::tuple_size_v<T> * least_bytes<typename T::value_type>;
  else if constexpr (kind == shape::bit_set)
    return (T{}.size() + 7) / 8;
  else if constexpr (kind == shape::complex)
    return 2 * least_bytes<typename T::value_type>;
  else if constexpr (kind == shape::tuple)
    return add_least_bytes(list_of<T>{});
  else if constexpr (kind == shape::aggregate)
    return add_least_bytes(members_of<T>{});
  else if constexpr (kind == shape::empty)
    return 0;
  else
    return sizeof(wire_size);
}

} // namespace detail
} // namespace fourfold
