#pragma once

// Containers: a count, then the elements. Included at the end of codec.hpp.

#include <fourfold/base/detail/codec_traits.hpp>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <span>
#include <utility>

namespace fourfold::detail {

template <class T> void write_value(encoder& out, const T& value);
template <class T> T read_value(decoder& in);
template <class T> void read_into(decoder& in, T& target);
template <class T> T read_plain(decoder& in);

struct codec_access {
  static std::byte* extend(encoder& out, std::size_t count) { return out.out_.extend(count); }
};

// One level of a type that may hold itself, for as long as this object lives.
template <class Coder> class nesting {
 public:
  explicit nesting(Coder& coder) : coder_{coder} {
    if (coder_.levels_left_ == 0)
      coder_.fail_nesting();
    --coder_.levels_left_;
  }
  nesting(const nesting&) = delete;
  nesting& operator=(const nesting&) = delete;
  ~nesting() { ++coder_.levels_left_; }

 private:
  Coder& coder_;
};

// An element that may take no bytes at all is preceded by one, or a false count could ask for any amount of
// work.
template <class T> inline constexpr std::size_t filler = least_bytes<T> == 0 ? 1 : 0;

template <class T> void write_element(encoder& out, const T& element) {
  if constexpr (filler<T> != 0)
    write_value(out, std::uint8_t{0});
  write_value(out, element);
}

template <class T> void read_filler(decoder& in) {
  if constexpr (filler<T> != 0) {
    if (read_plain<std::uint8_t>(in) != 0)
      in.fail("a filler that is not zero");
  }
}

template <class T> T read_element(decoder& in) {
  read_filler<T>(in);
  return read_value<T>(in);
}

template <class T> std::size_t read_count(decoder& in) { return in.read_size(least_bytes<T> + filler<T>); }

template <class Range> void write_elements(encoder& out, const Range& range) {
  using element = std::remove_cv_t<typename Range::value_type>;
  if constexpr (requires { range.size(); }) {
    out.write_size(range.size());
  } else {
    out.write_size(static_cast<std::size_t>(std::distance(range.begin(), range.end())));
  }
  if constexpr (is_plain<element> && requires { range.data(); }) {
    out.write_bytes(std::as_bytes(std::span{range.data(), range.size()}));
  } else {
    for (const element& each : range)
      write_element(out, each);
  }
}

template <class T> void fill_block(T& target, std::span<const std::byte> bytes, std::size_t count) {
  using element = typename T::value_type;
  if constexpr (requires { target.resize_and_overwrite(count, [](auto*, std::size_t n) { return n; }); }) {
    // libstdc++ 12 passes the new capacity where the standard says `count`: do not return that argument.
    target.resize_and_overwrite(count, [bytes, count](auto* to, std::size_t) {
      if (count != 0)
        std::memcpy(to, bytes.data(), bytes.size());
      return count;
    });
  } else if constexpr (sizeof(element) == 1 && std::is_arithmetic_v<element>) {
    const auto* from = reinterpret_cast<const element*>(bytes.data());
    target.assign(from, from + count);
  } else {
    target.resize(count);
    if (count != 0)
      std::memcpy(target.data(), bytes.data(), bytes.size());
  }
}

template <class T> T read_sequence(decoder& in) {
  using element = typename T::value_type;
  const std::size_t count = read_count<element>(in);
  T result;
  if constexpr (is_plain<element> && requires { result.data(), result.resize(count); }) {
    fill_block(result, in.read_bytes(count * sizeof(element)), count);
  } else if constexpr (requires { result.push_back(std::declval<element>()); }) {
    // Elements may be larger than their bytes: take no more than four times the input's memory on its word.
    if constexpr (requires { result.reserve(count); })
      result.reserve(std::min(count, 4 * in.remaining() / sizeof(element) + 1));
    for (std::size_t i = 0; i != count; ++i)
      result.push_back(read_element<element>(in));
  } else {
    auto last = result.before_begin();
    for (std::size_t i = 0; i != count; ++i)
      last = result.insert_after(last, read_element<element>(in));
  }
  return result;
}

template <class T> T read_keyed(decoder& in) {
  using key = typename T::key_type;
  T result;
  std::size_t count = 0;
  if constexpr (shape_of<T> == shape::map) {
    using mapped = typename T::mapped_type;
    count = read_count<typename T::value_type>(in);
    for (std::size_t i = 0; i != count; ++i) {
      read_filler<typename T::value_type>(in);
      key name = read_value<key>(in);
      result.emplace_hint(result.end(), std::move(name), read_value<mapped>(in));
    }
  } else {
    count = read_count<key>(in);
    for (std::size_t i = 0; i != count; ++i)
      result.emplace_hint(result.end(), read_element<key>(in));
  }
  if (result.size() != count)
    in.fail("a key that occurs twice");
  return result;
}

// Eight bits a byte, the first in the lowest; the rest of the last byte is zero.
template <class Bits> void write_bits(encoder& out, const Bits& bits) {
  std::byte* place = codec_access::extend(out, (bits.size() + 7) / 8);
  for (std::size_t i = 0; i < bits.size(); i += 8) {
    unsigned byte = 0;
    for (std::size_t j = 0; j != 8 && i + j < bits.size(); ++j)
      byte |= static_cast<unsigned>(bits[i + j]) << j;
    *place++ = static_cast<std::byte>(byte);
  }
}

template <class Bits> void read_bits(decoder& in, Bits& bits) {
  const std::span<const std::byte> bytes = in.read_bytes((bits.size() + 7) / 8);
  for (std::size_t i = 0; i != bits.size(); ++i)
    bits[i] = (std::to_integer<unsigned>(bytes[i / 8]) >> i % 8 & 1U) != 0;
  if (bits.size() % 8 != 0 && std::to_integer<unsigned>(bytes.back()) >> bits.size() % 8 != 0)
    in.fail("a bit beyond the end of a set of bits");
}

template <class T> void write_container(encoder& out, const T& value) {
  constexpr shape kind = shape_of<T>;
  if constexpr (kind == shape::path) {
    write_elements(out, value.native());
  } else if constexpr (kind == shape::bits) {
    out.write_size(value.size());
    write_bits(out, value);
  } else if constexpr (kind == shape::bit_set) {
    write_bits(out, value);
  } else {
    static_assert(kind == shape::sequence || kind == shape::set || kind == shape::map);
    write_elements(out, value);
  }
}

template <class T> T read_container(decoder& in) {
  constexpr shape kind = shape_of<T>;
  if constexpr (kind == shape::path) {
    return T(read_sequence<typename T::string_type>(in));
  } else if constexpr (kind == shape::sequence) {
    return read_sequence<T>(in);
  } else if constexpr (kind == shape::bits) {
    const auto count = read_plain<wire_size>(in);
    if (count / 8 > in.remaining())
      in.fail("a length beyond the end of the bytes");
    T result(count);
    read_bits(in, result);
    return result;
  } else if constexpr (kind == shape::bit_set) {
    T result;
    read_bits(in, result);
    return result;
  } else {
    return read_keyed<T>(in);
  }
}

} // namespace fourfold::detail
