#pragma once

#include <fourfold/base/unique_fd.hpp>

#include <cstddef>
#include <span>
#include <utility>

namespace fourfold::detail {

/// Pages shared between processes, mapped here. The descriptor, which another process maps them by, is kept
/// apart.
class shared_mapping {
 public:
  shared_mapping() noexcept = default;
  /// Maps `size` bytes of `fd`, writable or not. Throws std::system_error.
  shared_mapping(int fd, std::size_t size, bool writable);
  /// Takes over what is mapped already.
  shared_mapping(std::byte* data, std::size_t size) noexcept : data_(data), size_(size), mapped_(size) {}
  shared_mapping(shared_mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        mapped_(std::exchange(other.mapped_, 0)) {}
  shared_mapping& operator=(shared_mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  ~shared_mapping();

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data_, size_}; }

  /// Maps more of the same file, in place or elsewhere. Throws std::system_error, and has had no effect then.
  void grow(std::size_t size);
  /// Speaks only of the first `size` bytes from now on.
  void show(std::size_t size) noexcept { size_ = size; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;
};

/// Anonymous shared memory of `size` bytes for good, zeroed, not inherited by exec. Throws std::system_error.
unique_fd make_shared_memory(const char* name, std::size_t size);

/// A large message on its way through a descriptor: written once, sealed against every change, and read in
/// place.
unique_fd make_sealed_message(std::span<const std::byte> bytes);
/// Maps one. A message that is not sealed, as a corrupt worker might send, throws decode_error: its reader
/// could be made to see a length change between check and use.
shared_mapping map_sealed_message(int fd);

} // namespace fourfold::detail
