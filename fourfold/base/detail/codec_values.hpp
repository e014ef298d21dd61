#pragma once

// How values of each shape are written and read. Included at the end of codec.hpp, whose members it defines.

#include <fourfold/base/detail/codec_containers.hpp>
#include <fourfold/base/detail/codec_explain.hpp>

namespace fourfold {
namespace detail {

template <class T> void write_value(encoder& out, const T& value);
template <class T> T read_value(decoder& in);

// Blocks of plain bytes in one go, since each separate write checks the room.
template <class... T> void write_all(encoder& out, const T&... values) {
  if constexpr (sizeof...(T) > 1 && (... && is_plain<T>)) {
    std::byte* place = codec_access::extend(out, (sizeof(T) + ...));
    ((std::memcpy(place, &values, sizeof(T)), place += sizeof(T)), ...);
  } else {
    (write_value(out, values), ...);
  }
}

// In an aggregate or a hook the next level of a type that holds itself may lie; every other shape is finite.
template <class T> void write_value(encoder& out, const T& value) {
  constexpr shape kind = shape_of<T>;
  if constexpr (is_plain<T>) {
    std::memcpy(codec_access::extend(out, sizeof(T)), &value, sizeof(T));
  } else if constexpr (kind == shape::hook) {
    const nesting level{out};
    codec<T>::encode(out, value);
  } else if constexpr (kind == shape::boolean) {
    write_value(out, static_cast<wire_bool>(value));
  } else if constexpr (kind == shape::long_double) {
    std::memcpy(codec_access::extend(out, least_bytes<T>), &value, least_bytes<T>);
  } else if constexpr (kind == shape::enumeration) {
    write_value(out, static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (kind == shape::array || kind == shape::std_array) {
    for (const auto& element : value)
      write_value(out, element);
  } else if constexpr (kind == shape::tuple) {
    std::apply([&out](const auto&... element) { write_all(out, element...); }, value);
  } else if constexpr (kind == shape::aggregate) {
    const nesting level{out};
    with_members(value, [&out]<class...>(const auto&... member) { write_all(out, member...); });
  } else if constexpr (kind == shape::complex) {
    write_all(out, value.real(), value.imag());
  } else if constexpr (kind == shape::optional || kind == shape::owner) {
    const bool present = static_cast<bool>(value);
    write_value(out, present);
    if (present)
      write_value(out, *value);
  } else if constexpr (kind == shape::variant) {
    if (value.valueless_by_exception())
      throw error("a variant without a value cannot be encoded");
    write_value(out, static_cast<wire_index<T>>(value.index()));
    std::visit([&out](const auto& alternative) { write_value(out, alternative); }, value);
  } else if constexpr (kind != shape::empty) {
    write_container(out, value);
  }
}

template <class T> void read_into(decoder& in, T& target) {
  if constexpr (is_plain<T>) {
    std::memcpy(&target, in.read_bytes(sizeof(T)).data(), sizeof(T));
  } else if constexpr (std::is_array_v<T>) {
    for (auto& element : target)
      read_into(in, element);
  } else {
    target = read_value<T>(in);
  }
}

template <class T> T read_plain(decoder& in) {
  const std::byte* from = in.read_bytes(sizeof(T)).data();
  if constexpr (std::is_trivially_default_constructible_v<T>) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
  } else {
    raw_bytes<sizeof(T)> bytes;
    std::memcpy(&bytes, from, sizeof(T));
    return __builtin_bit_cast(T, bytes);
  }
}

inline bool read_flag(decoder& in, const char* complaint) {
  const auto flag = read_plain<wire_bool>(in);
  if (flag > 1)
    in.fail(complaint);
  return flag == 1;
}

// A bit-field keeps the low bits of what was read for it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
// Braces, because they alone fix the order of evaluation.
template <class T, class... M> T read_aggregate(decoder& in, type_list<M...>) {
  if constexpr ((... || std::is_array_v<M>)) {
    T value{};
    with_members(value, [&in]<class...>(auto&... member) { (read_into(in, member), ...); });
    return value;
  } else {
    return T{read_value<M>(in)...};
  }
}
#pragma GCC diagnostic pop

template <class T, class... M> T read_tuple(decoder& in, type_list<M...>) { return T{read_value<M>(in)...}; }

template <class T, std::size_t... I> T read_array(decoder& in, std::index_sequence<I...>) {
  return T{{((void)I, read_value<typename T::value_type>(in))...}};
}

template <class T, std::size_t I = 0> T read_alternative(decoder& in, std::size_t index) {
  if constexpr (I == std::variant_size_v<T>) {
    in.fail("a variant index beyond the alternatives");
  } else {
    if (index != I)
      return read_alternative<T, I + 1>(in, index);
    return T(std::in_place_index<I>, read_value<std::remove_const_t<std::variant_alternative_t<I, T>>>(in));
  }
}

template <class T> T read_value(decoder& in) {
  constexpr shape kind = shape_of<T>;
  if constexpr (is_plain<T>) {
    return read_plain<T>(in);
  } else if constexpr (kind == shape::hook) {
    const nesting level{in};
    return codec<T>::decode(in);
  } else if constexpr (kind == shape::boolean) {
    return read_flag(in, "a bool that is neither false nor true");
  } else if constexpr (kind == shape::long_double) {
    T value{};
    std::memcpy(&value, in.read_bytes(least_bytes<T>).data(), least_bytes<T>);
    return value;
  } else if constexpr (kind == shape::enumeration) {
    return static_cast<T>(read_value<std::underlying_type_t<T>>(in));
  } else if constexpr (kind == shape::std_array) {
    if constexpr (std::is_default_constructible_v<T> && std::is_move_assignable_v<T>) {
      T value{};
      for (auto& element : value)
        read_into(in, element);
      return value;
    } else {
      return read_array<T>(in, std::make_index_sequence<std::tuple_size_v<T>>{});
    }
  } else if constexpr (kind == shape::tuple) {
    return read_tuple<T>(in, list_of<T>{});
  } else if constexpr (kind == shape::aggregate) {
    const nesting level{in};
    return read_aggregate<T>(in, members_of<T>{});
  } else if constexpr (kind == shape::complex) {
    const auto real = read_value<typename T::value_type>(in);
    return T(real, read_value<typename T::value_type>(in));
  } else if constexpr (kind == shape::optional) {
    if (!read_flag(in, "an optional that is neither empty nor full"))
      return T();
    return T(std::in_place, read_value<std::remove_const_t<typename T::value_type>>(in));
  } else if constexpr (kind == shape::owner) {
    if (!read_flag(in, "a pointer that is neither null nor set"))
      return T();
    using element = std::remove_const_t<typename T::element_type>;
    return T(new element(read_value<element>(in)));
  } else if constexpr (kind == shape::variant) {
    return read_alternative<T>(in, read_plain<wire_index<T>>(in));
  } else if constexpr (kind == shape::empty) {
    return T();
  } else {
    return read_container<T>(in);
  }
}

} // namespace detail

template <class T> constexpr void require_encodable() {
  if constexpr (!encodable<T>)
    detail::explain<T>();
}

template <class... T> void encoder::write(const T&... values) {
  (require_encodable<T>(), ...);
  if constexpr ((... && encodable<T>))
    detail::write_all(*this, values...);
}

template <class T> void encoder::write_sequence(std::span<T> elements) {
  require_encodable<std::remove_const_t<T>>();
  if constexpr (encodable<T>)
    detail::write_elements(*this, elements);
}

template <class T> T decoder::read() {
  require_encodable<T>();
  if constexpr (encodable<T>)
    return detail::read_value<std::remove_const_t<T>>(*this);
}

template <class T> void codec_as_bytes<T>::encode(encoder& out, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>, "codec_as_bytes is for trivially copyable classes only");
  out.write_bytes(std::as_bytes(std::span{&value, 1}));
}

template <class T> T codec_as_bytes<T>::decode(decoder& in) {
  static_assert(std::is_trivially_copyable_v<T>, "codec_as_bytes is for trivially copyable classes only");
  detail::raw_bytes<sizeof(T)> bytes;
  std::memcpy(&bytes, in.read_bytes(sizeof(T)).data(), sizeof(T));
  return __builtin_bit_cast(T, bytes);
}

inline void encoder::write_size(std::size_t count) {
  detail::write_value(*this, static_cast<detail::wire_size>(count));
}

inline std::size_t decoder::read_size(std::size_t least_bytes_each) {
  const auto count = detail::read_plain<detail::wire_size>(*this);
  if (count > left_ / least_bytes_each)
    fail("a length beyond the end of the bytes");
  return count;
}

inline std::span<const std::byte> decoder::read_bytes(std::size_t count) {
  if (count > left_) [[unlikely]]
    fail("the bytes end too early");
  const std::span<const std::byte> bytes{next_, count};
  // Adding 0 to the null pointer of an empty span is fine in C++.
  next_ += count;
  left_ -= count;
  return bytes;
}

inline std::shared_ptr<const attachment> decoder::next_attachment() {
  if (attachments_.empty() || attachments_.front() == nullptr)
    fail("a value came without the descriptor that belongs to it");
  std::shared_ptr<const attachment> next = std::move(attachments_.front());
  attachments_ = attachments_.subspan(1);
  return next;
}

inline void decoder::finish() const {
  if (left_ != 0)
    fail("bytes are left over");
}

[[gnu::noinline, gnu::cold]] inline void decoder::fail(const char* why) const {
  throw decode_error(std::string("cannot decode: ") + why);
}

inline void decoder::fail_nesting() const { fail("values nest too deeply"); }

[[gnu::noinline, gnu::cold]] inline void encoder::fail_nesting() const {
  throw error("cannot encode: values nest too deeply");
}

} // namespace fourfold
