#pragma once

#include <fourfold/base/attachment.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>

namespace fourfold {

/// Bytes that grow at the end. The first `inline_capacity` bytes live in the object itself, so that a small
/// message never allocates; alternatively the first bytes live in memory that the caller lends (a slot of a
/// ring, say):
///
///   byte_buffer out{slot};            // slot is a std::span<std::byte>
///   encode_into(out, 1, name);
///   if (out.is_lent()) …              // it fitted; otherwise the bytes have moved to the heap
///
/// Descriptors that travel beside the bytes (see attachment.hpp) are kept with them.
///
/// Move-only. Moving copies at most `inline_capacity` bytes. One thread at a time. Growth may throw
/// std::bad_alloc and then changes nothing.
class byte_buffer {
 public:
  static constexpr std::size_t inline_capacity = 88; // makes the object two cache lines

  byte_buffer() noexcept : data_{inline_}, capacity_{inline_capacity} {}
  /// The lender keeps the memory alive as long as this buffer (or the one it is moved into) uses it.
  explicit byte_buffer(std::span<std::byte> lent) noexcept : data_{lent.data()}, capacity_{lent.size()} {}
  byte_buffer(byte_buffer&& other) noexcept { take(other); }
  byte_buffer& operator=(byte_buffer&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~byte_buffer() { release(); }

  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] const std::byte* begin() const noexcept { return data_; }
  [[nodiscard]] const std::byte* end() const noexcept { return data_ + size_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  /// True while the bytes still lie in the memory that the constructor was given.
  [[nodiscard]] bool is_lent() const noexcept { return data_ != inline_ && !on_heap_; }

  void clear() noexcept {
    size_ = 0;
    attachments_.reset();
  }

  [[nodiscard]] bool has_attachments() const noexcept {
    return attachments_ != nullptr && !attachments_->empty();
  }
  /// The attachments in the order in which they were added.
  [[nodiscard]] std::span<std::shared_ptr<const attachment>> attachments() const noexcept {
    return attachments_ != nullptr ? std::span(*attachments_)
                                   : std::span<std::shared_ptr<const attachment>>{};
  }
  void attach(std::shared_ptr<const attachment> more) {
    if (attachments_ == nullptr)
      attachments_ = std::make_unique<attachment_list>();
    attachments_->push_back(std::move(more));
  }
  /// Gives them away.
  [[nodiscard]] attachment_list take_attachments() noexcept {
    const std::unique_ptr<attachment_list> taken = std::move(attachments_);
    return taken != nullptr ? std::move(*taken) : attachment_list{};
  }

  /// Appends `count` bytes of unspecified value and returns where they begin; valid until the next growth.
  std::byte* extend(std::size_t count) {
    if (capacity_ - size_ < count) [[unlikely]]
      grow(count);
    std::byte* place = data_ + size_;
    size_ += count;
    return place;
  }

  void append(std::span<const std::byte> more) {
    std::byte* place = extend(more.size());
    if (!more.empty())
      std::memcpy(place, more.data(), more.size());
  }

 private:
  [[gnu::noinline, gnu::cold]] void grow(std::size_t count) {
    const std::size_t larger = std::max(size_ + count, 2 * capacity_);
    auto* fresh = static_cast<std::byte*>(::operator new(larger));
    if (size_ != 0)
      std::memcpy(fresh, data_, size_);
    release();
    data_ = fresh;
    capacity_ = larger;
    on_heap_ = true;
  }
  void release() noexcept {
    if (on_heap_)
      ::operator delete(data_);
  }
  void take(byte_buffer& other) noexcept {
    attachments_ = std::move(other.attachments_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, inline_capacity);
    on_heap_ = std::exchange(other.on_heap_, false);
    if (other.data_ == other.inline_) {
      data_ = inline_;
      std::memcpy(inline_, other.inline_, size_);
    } else {
      data_ = std::exchange(other.data_, other.inline_);
    }
  }

  std::byte* data_;
  std::size_t size_ = 0;
  std::size_t capacity_;
  std::unique_ptr<attachment_list> attachments_;
  bool on_heap_ = false;
  std::byte inline_[inline_capacity];
};

static_assert(sizeof(byte_buffer) == 128);

} // namespace fourfold
