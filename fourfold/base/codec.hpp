#pragma once

// Values that cross a process boundary, as bytes.
//
//   byte_buffer bytes = encode(7, std::string("seven"), std::vector{1.0, 2.0});
//   auto [n, name, list] = decode<std::tuple<int, std::string, std::vector<double>>>(bytes);
//
// What travels without a line from the user: integers (128-bit ones too), floating point, bool, character
// types, std::byte, enumerations with a fixed underlying type, std::array, pair, tuple, optional, variant,
// unique_ptr and shared_ptr (sharing is not kept: two pointers to one object arrive as two objects), strings,
// vector, deque, list, the sets and maps, bitset, complex, std::filesystem::path, std::chrono durations and
// time points, and plain aggregates of up to 32 members of such types, C arrays among the members.
// Allocators, comparators and hash functions are not carried: they must be empty classes, and are made anew.
//
// A trivially copyable class that is not an aggregate (private members, a lambda with captures) travels as
// its bytes if the compiler can prove that it holds no pointer, reference, union, bool or padding. (g++ 12
// overlooks arrays of pointers in a private member.) Pointers, references, views and everything else are a
// compile-time error; teach the codec by its one hook, visible before the first use of the type:
//
//   template <> struct fourfold::codec<polygon> {
//     static void encode(fourfold::encoder& out, const polygon& p) { out.write(p.name(), p.corners()); }
//     static polygon decode(fourfold::decoder& in) {
//       auto name = in.read<std::string>();                    // in the order in which they were written
//       return polygon(std::move(name), in.read<std::vector<point>>());
//     }
//   };
//   template <> struct fourfold::codec<money> : fourfold::codec_as_bytes<money> {}; // plain bytes
//
// Both sides must be the same build: bytes carry no type, version or byte order. Bytes are not trusted: a
// length beyond the input, a bad bool, flag, variant index, a key twice, nesting beyond the limit or bytes
// left over throw decode_error before memory in proportion to the false length is taken; they are never
// undefined behaviour. Every value of an enumeration's underlying type is accepted, since C++23 cannot list
// the enumerators. If encode or decode throws, nothing outside is changed but the bytes already appended.
//
// What this is bad at: sharing and cycles, polymorphic objects, storage on disk (see "same build").
// Any thread may call these functions; one encoder, decoder or byte_buffer belongs to one thread at a time.

#include <fourfold/base/detail/byte_buffer.hpp>
#include <fourfold/base/detail/codec_traits.hpp>
#include <fourfold/base/errors.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

namespace fourfold {

namespace detail {
template <class Coder> class nesting;
struct codec_access;
} // namespace detail

/// The hook. Specialise it, also partially (`template <class R, class... A> struct codec<R (*)(A...)>`); it
/// goes before everything built in. Optional: `static constexpr std::size_t least_bytes`, the least that
/// decode will read.
template <class T>
struct codec;

/// True if T can be written and read back as a value: no reference, no C array (as a member they are fine).
template <class T>
concept encodable = !std::is_array_v<T> && detail::is_carried<T>;
template <class T>
concept decodable = encodable<T>;

/// Compiles if T is encodable; otherwise says in words which part of T is not, and why.
template <class T>
constexpr void require_encodable();

/// How deeply types that hold themselves (a tree of unique_ptr) may nest; bounds the stack.
inline constexpr std::size_t default_nesting_limit = 1000;

/// Appends values to a byte_buffer.
class encoder {
 public:
  /// `out` must outlive the encoder.
  explicit encoder(byte_buffer& out, std::size_t nesting_limit = default_nesting_limit) noexcept
      : out_{out}, levels_left_{nesting_limit} {}
  encoder(const encoder&) = delete;
  encoder& operator=(const encoder&) = delete;

  /// Throws fourfold::error for what has no value to write: a valueless variant, nesting beyond the limit.
  template <class... T>
  void write(const T&... values);

  /// For hooks of containers and views: the same bytes as a std::vector of these elements.
  template <class T>
  void write_sequence(std::span<T> elements);
  /// A count that read_size() checks; then write that many elements.
  void write_size(std::size_t count);
  /// Raw bytes without a length.
  void write_bytes(std::span<const std::byte> bytes) { out_.append(bytes); }
  /// For hooks of types that are more than bytes: sends a descriptor along. It arrives only where the bytes go
  /// through a pool or a process_pipe.
  void attach(std::shared_ptr<const attachment> more) { out_.attach(std::move(more)); }

 private:
  friend class detail::nesting<encoder>;
  friend struct detail::codec_access;
  [[noreturn]] void fail_nesting() const;

  byte_buffer& out_;
  std::size_t levels_left_;
};

/// Reads values from bytes, which must outlive it. Every failure throws decode_error; the decoder is then of
/// no use.
class decoder {
 public:
  explicit decoder(std::span<const std::byte> bytes,
                   std::size_t nesting_limit = default_nesting_limit) noexcept
      : next_{bytes.data()}, left_{bytes.size()}, levels_left_{nesting_limit} {}
  /// The same, with the attachments that came beside the bytes; the decoder takes them out of the list.
  decoder(std::span<const std::byte> bytes, std::span<std::shared_ptr<const attachment>> attachments,
          std::size_t nesting_limit = default_nesting_limit) noexcept
      : next_{bytes.data()}, left_{bytes.size()}, levels_left_{nesting_limit}, attachments_{attachments} {}
  decoder(const decoder&) = delete;
  decoder& operator=(const decoder&) = delete;

  template <class T>
  [[nodiscard]] T read();

  /// A count of elements that take at least `least_bytes_each` (not 0) each: never more than the rest of the
  /// bytes can hold.
  [[nodiscard]] std::size_t read_size(std::size_t least_bytes_each = 1);
  /// A view of the next `count` bytes; not aligned.
  [[nodiscard]] std::span<const std::byte> read_bytes(std::size_t count);
  [[nodiscard]] std::size_t remaining() const noexcept { return left_; }
  /// The next attachment, in the order in which they were written.
  [[nodiscard]] std::shared_ptr<const attachment> next_attachment();

  /// Throws if bytes are left over.
  void finish() const;
  /// For hooks that find a value they cannot accept.
  [[noreturn]] void fail(const char* why) const;

 private:
  friend class detail::nesting<decoder>;
  friend struct detail::codec_access;
  [[noreturn]] void fail_nesting() const;

  const std::byte* next_;
  std::size_t left_;
  std::size_t levels_left_;
  std::span<std::shared_ptr<const attachment>> attachments_;
};

template <class... T>
void encode_into(byte_buffer& out, const T&... values) {
  encoder{out}.write(values...);
}

template <class... T>
[[nodiscard]] byte_buffer encode(const T&... values) {
  byte_buffer out;
  encode_into(out, values...);
  return out;
}

/// The bytes must be exactly one T. What encode(a, b, c) wrote is read as std::tuple<A, B, C>.
template <class T>
[[nodiscard]] T decode(std::span<const std::byte> bytes) {
  decoder in{bytes};
  T value = in.read<T>();
  in.finish();
  return value;
}

/// A ready-made hook for trivially copyable classes whose bytes are all of them: no pointer, and any bytes
/// are a value.
template <class T>
struct codec_as_bytes {
  static constexpr std::size_t least_bytes = sizeof(T);
  static void encode(encoder& out, const T& value);
  static T decode(decoder& in);
};

} // namespace fourfold

#include <fourfold/base/detail/codec_values.hpp>
