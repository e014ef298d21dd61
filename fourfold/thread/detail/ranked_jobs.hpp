#pragma once

#include <fourfold/base/priority.hpp>
#include <fourfold/base/small_lock.hpp>
#include <fourfold/thread/detail/pool_job.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace fourfold::detail {

/// Calls that are more or less urgent than most: first come, first served within each priority. A lock is
/// enough here, because such calls are few; who looks into an empty one reads a number and takes no lock.
class ranked_jobs {
 public:
  /// False when the queue is closed.
  bool push(pool_job& job, priority urgency) noexcept {
    const std::lock_guard guard(lock_);
    if (closed_)
      return false;
    line& to = of(urgency);
    job.next = nullptr;
    *to.end = &job;
    to.end = &job.next;
    // Sequentially consistent because the caller then looks whether somebody sleeps, while who goes to sleep
    // looks whether this is empty.
    to.length.store(to.length.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
    return true;
  }

  /// The oldest call of that priority, or null.
  pool_job* take(priority urgency) noexcept {
    line& from = of(urgency);
    // Relaxed: a hint, and who goes to sleep looks again by empty().
    if (from.length.load(std::memory_order_relaxed) == 0)
      return nullptr;
    const std::lock_guard guard(lock_);
    pool_job* job = from.first;
    if (job == nullptr)
      return nullptr;
    from.first = job->next;
    if (from.first == nullptr)
      from.end = &from.first;
    from.length.store(from.length.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    return job;
  }

  [[nodiscard]] bool empty() const noexcept {
    for (const line& one : lines_) {
      if (one.length.load(std::memory_order_seq_cst) != 0)
        return false;
    }
    return true;
  }

  /// Refuses further pushes; false, changing nothing, when it is not empty.
  bool close_if_empty() noexcept {
    const std::lock_guard guard(lock_);
    if (!empty())
      return false;
    closed_ = true;
    return true;
  }

 private:
  struct line {
    pool_job* first = nullptr;
    pool_job** end = &first;
    std::atomic<std::size_t> length{0};
  };
  line& of(priority urgency) noexcept { return lines_[static_cast<std::size_t>(urgency)]; }

  std::array<line, priority_levels> lines_;
  small_lock lock_;
  bool closed_ = false;
};

} // namespace fourfold::detail
