#pragma once

#include <fourfold/process/detail/memory_block.hpp>
#include <fourfold/process/shared_value.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>

namespace fourfold {

template <class T>
class frozen_vector;

/// A vector whose elements lie in memory that can change its process: what makes large arguments and results
/// cheap, since only a descriptor travels, however many bytes there are.
///
///   shared_vector<double> samples(64'000'000);
///   fill(samples);
///   samples = pool.submit(filter, std::move(samples)).get();     // there and back, nothing is copied
///
/// It has one owner: it moves and does not copy, so a call takes it by std::move and the result gives it back.
/// If the call fails or is cancelled after it was submitted, the elements are gone with it. Freeze it to let
/// many read it at once. Growing adds pages to the block instead of copying the elements, but invalidates
/// pointers as a std::vector's does.
///
/// Elements are trivially copyable; new ones are zero bytes, or copies. At least one page (4 KiB) is used.
///
/// Cancellation: nothing here waits. Threads: as a std::vector. Whoever had it before keeps no access, except
/// a process that has gone wrong.
template <class T>
class shared_vector {
  static_assert(shareable<T>, "shared_vector: the elements must be trivially copyable, and no pointers");

 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  shared_vector() noexcept = default;
  /// Throws std::system_error (not_enough_memory).
  explicit shared_vector(std::size_t count) { resize(count); }
  shared_vector(std::size_t count, const T& value) {
    reserve(count);
    std::uninitialized_fill_n(data(), count, value);
    used_ = size_ = count;
  }
  shared_vector(std::initializer_list<T> values) : shared_vector(std::span<const T>(values)) {}
  /// Copies the elements, once.
  explicit shared_vector(std::span<const T> values) {
    reserve(values.size());
    std::uninitialized_copy(values.begin(), values.end(), data());
    used_ = size_ = values.size();
  }
  shared_vector(shared_vector&& other) noexcept
      : block_(std::move(other.block_)),
        size_(std::exchange(other.size_, 0)),
        used_(std::exchange(other.used_, 0)) {}
  shared_vector& operator=(shared_vector&& other) noexcept {
    block_ = std::move(other.block_);
    size_ = std::exchange(other.size_, 0);
    used_ = std::exchange(other.used_, 0);
    return *this;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t capacity() const noexcept { return block_ ? block_->size() / sizeof(T) : 0; }
  [[nodiscard]] T* data() noexcept { return block_ ? reinterpret_cast<T*>(block_->data()) : nullptr; }
  [[nodiscard]] const T* data() const noexcept {
    return block_ ? reinterpret_cast<const T*>(block_->data()) : nullptr;
  }
  [[nodiscard]] T* begin() noexcept { return data(); }
  [[nodiscard]] T* end() noexcept { return data() + size_; }
  [[nodiscard]] const T* begin() const noexcept { return data(); }
  [[nodiscard]] const T* end() const noexcept { return data() + size_; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return data()[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data()[i]; }
  [[nodiscard]] T& front() noexcept { return data()[0]; }
  [[nodiscard]] T& back() noexcept { return data()[size_ - 1]; }

  void reserve(std::size_t count) {
    if (count <= capacity())
      return;
    if (count > std::numeric_limits<std::size_t>::max() / 2 / sizeof(T))
      throw std::length_error("shared_vector: more elements than memory has addresses");
    const std::size_t bytes = (count * sizeof(T) + 4095) & ~std::size_t{4095};
    if (block_) {
      block_->grow(bytes);
    } else {
      block_ = detail::memory_block::make(bytes);
    }
  }
  void resize(std::size_t count) {
    reserve(count);
    // Fresh pages are zeros already; what an earlier, longer size has left is not.
    if (count > size_)
      zero(size_, count);
    size_ = count;
    used_ = std::max(used_, size_);
  }
  void push_back(const T& value) {
    const T copy = value; // it may be one of ours
    if (size_ == capacity())
      reserve(std::max<std::size_t>(2 * size_, 16));
    std::construct_at(data() + size_, copy);
    used_ = std::max(used_, ++size_);
  }
  void pop_back() noexcept { --size_; }
  void clear() noexcept { size_ = 0; }

  /// Gives up the right to write, here and everywhere, for the right to share.
  [[nodiscard]] frozen_vector<T> freeze() &&;

 private:
  friend struct codec<shared_vector>;
  void zero(std::size_t from, std::size_t to) noexcept {
    if (from < used_)
      std::fill(reinterpret_cast<std::byte*>(data() + from),
                reinterpret_cast<std::byte*>(data() + std::min(to, used_)), std::byte{});
  }

  std::shared_ptr<detail::memory_block> block_;
  std::size_t size_ = 0;
  std::size_t used_ = 0; // elements that may hold something else than zeros
};

/// The elements of a shared_vector that nobody can change any more: copies of the handle, also in other
/// processes, are the same memory, mapped read-only.
///
///   auto table = std::move(samples).freeze();
///   for (int i = 0; i < 100; ++i) results.push_back(pool.submit(look_up, table, i));
///
/// Threads: any. It lives until the last handle in the last process has gone.
template <class T>
class frozen_vector {
 public:
  using value_type = T;
  using iterator = const T*;
  using const_iterator = const T*;

  frozen_vector() noexcept = default;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] const T* data() const noexcept {
    return block_ ? reinterpret_cast<const T*>(block_->data()) : nullptr;
  }
  [[nodiscard]] const T* begin() const noexcept { return data(); }
  [[nodiscard]] const T* end() const noexcept { return data() + size_; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data()[i]; }

 private:
  friend class shared_vector<T>;
  friend struct codec<frozen_vector>;
  frozen_vector(std::shared_ptr<const detail::memory_block> block, std::size_t size) noexcept
      : block_(std::move(block)), size_(size) {}

  std::shared_ptr<const detail::memory_block> block_;
  std::size_t size_ = 0;
};

template <class T>
frozen_vector<T> shared_vector<T>::freeze() && {
  if (block_)
    block_->freeze();
  used_ = 0;
  return {std::exchange(block_, nullptr), std::exchange(size_, 0)};
}

/// What is encoded is to be given up: two processes that own the same vector would write over each other.
/// process_pool::submit and a result do that of themselves.
template <class T>
struct codec<shared_vector<T>> {
  static void encode(encoder& out, const shared_vector<T>& value) {
    out.write(value.size_, value.block_ ? value.block_->size() : std::size_t{0});
    if (value.block_)
      out.attach(value.block_);
  }
  static shared_vector<T> decode(decoder& in) {
    shared_vector<T> value;
    value.size_ = in.read<std::size_t>();
    const auto bytes = in.read<std::size_t>();
    if (value.size_ > bytes / sizeof(T))
      in.fail("a shared vector came with more elements than memory");
    if (bytes != 0)
      value.block_ = detail::memory_block::receive(in, bytes, detail::memory_access::owned);
    value.used_ = bytes / sizeof(T);
    return value;
  }
};

template <class T>
struct codec<frozen_vector<T>> {
  static void encode(encoder& out, const frozen_vector<T>& value) {
    out.write(value.size_, value.block_ ? value.block_->size() : std::size_t{0});
    if (value.block_)
      out.attach(value.block_);
  }
  static frozen_vector<T> decode(decoder& in) {
    const auto size = in.read<std::size_t>();
    const auto bytes = in.read<std::size_t>();
    if (size > bytes / sizeof(T))
      in.fail("a frozen vector came with more elements than memory");
    if (bytes == 0)
      return {};
    return {detail::memory_block::receive(in, bytes, detail::memory_access::frozen), size};
  }
};

} // namespace fourfold
