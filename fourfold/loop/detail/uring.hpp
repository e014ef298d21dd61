#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/unique_fd.hpp>

#include <linux/io_uring.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace fourfold::detail {

/// Memory shared with the kernel.
class kernel_mapping {
 public:
  kernel_mapping() noexcept = default;
  /// Maps `size` bytes of `fd` at `offset`, or, with fd -1, fresh memory. Throws std::system_error.
  kernel_mapping(std::size_t size, int fd, off_t offset);
  kernel_mapping(kernel_mapping&& other) noexcept;
  kernel_mapping& operator=(kernel_mapping&& other) noexcept;
  ~kernel_mapping();

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  template <class T>
  [[nodiscard]] T* at(std::size_t offset) const noexcept {
    return reinterpret_cast<T*>(data_ + offset);
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A submission queue and a completion queue of io_uring(7), used by one thread: single issuer, with the
/// kernel's completion work deferred to our own calls (IORING_SETUP_DEFER_TASKRUN), so that it never
/// interrupts what runs. Needs Linux 6.1.
class uring {
 public:
  /// Throws std::system_error. It can be used after enable().
  uring(unsigned submissions, unsigned completions);
  uring(const uring&) = delete;
  uring& operator=(const uring&) = delete;

  /// Binds it to this thread, for ever. Throws std::system_error.
  void enable();
  /// While the thread uses it, the kernel keeps the descriptor at hand; it must let go before the thread stops
  /// to. Both do nothing if the kernel has no room for it.
  void hold_descriptor() noexcept;
  void release_descriptor() noexcept;

  /// A cleared entry that goes to the kernel with the next enter(); null when the kernel takes no more.
  [[nodiscard]] io_uring_sqe* next_entry() noexcept;

  /// Whether enter() without waiting has anything to do.
  [[nodiscard]] bool has_work() noexcept { return unsubmitted() != 0 || kernel_has_work(); }
  /// Hands in the new entries, lets the kernel finish what it can, and waits for a completion until
  /// `deadline`; a deadline that has passed does not wait. A kernel short of memory takes fewer entries; the
  /// rest goes along the next time.
  void enter(clock::time_point deadline) noexcept;

  [[nodiscard]] bool has_completions() noexcept {
    // Acquire: the kernel's entries before its tail.
    return std::atomic_ref(*completion_tail_).load(std::memory_order_acquire) != completions_seen_;
  }
  /// Calls `f(entry)` for each completion and frees its place.
  template <class F>
  void take_completions(F&& f) noexcept {
    while (has_completions()) {
      const io_uring_cqe entry = completions_[completions_seen_ & completion_mask_];
      ++completions_seen_;
      // Release: the place is free once the kernel sees this, and we have read it.
      std::atomic_ref(*completion_head_).store(completions_seen_, std::memory_order_release);
      f(entry);
    }
  }

  /// io_uring_register(2); 0 or minus errno.
  [[nodiscard]] int register_with(unsigned operation, void* argument, unsigned count) const noexcept;

 private:
  [[nodiscard]] unsigned unsubmitted() const noexcept {
    return entries_made_ - std::atomic_ref(*submission_head_).load(std::memory_order_acquire);
  }
  [[nodiscard]] bool kernel_has_work() const noexcept {
    constexpr unsigned wants_us = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    return (std::atomic_ref(*submission_flags_).load(std::memory_order_relaxed) & wants_us) != 0;
  }

  unique_fd fd_;
  kernel_mapping rings_;
  kernel_mapping entries_map_;
  /// The index of the registered descriptor, or -1.
  int held_ = -1;

  io_uring_sqe* entries_ = nullptr;
  unsigned* submission_head_ = nullptr;
  unsigned* submission_tail_ = nullptr;
  unsigned* submission_flags_ = nullptr;
  unsigned submission_mask_ = 0;
  unsigned entries_made_ = 0;

  io_uring_cqe* completions_ = nullptr;
  unsigned* completion_head_ = nullptr;
  unsigned* completion_tail_ = nullptr;
  unsigned completion_mask_ = 0;
  unsigned completions_seen_ = 0;
};

} // namespace fourfold::detail
