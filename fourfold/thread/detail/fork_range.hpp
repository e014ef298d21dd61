#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/thread/detail/fork_scope.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <utility>

namespace fourfold::detail {

/// How many elements are done at a stretch: given, or as many as take about 10 µs. Less, and looking at the
/// clock and at the deque would be felt; more, and others would wait for work.
class stretch {
 public:
  explicit stretch(std::size_t given) noexcept : size_(given != 0 ? given : 1), fixed_(given != 0) {}

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  void begin() noexcept {
    if (!fixed_)
      began_ = clock::now();
  }
  /// One more is done, and the next begins. Whole doublings, so that one which was interrupted by the kernel
  /// does no harm.
  void next() noexcept {
    if (fixed_)
      return;
    const auto now = clock::now();
    const auto took = now - std::exchange(began_, now);
    if (took < std::chrono::microseconds(5)) {
      size_ *= 2;
    } else if (took > std::chrono::microseconds(20) && size_ > 1) {
      size_ /= 2;
    }
  }

 private:
  std::size_t size_;
  bool fixed_;
  clock::time_point began_;
};

template <class Work>
void run_range(fork_scope& scope, Work& work, std::size_t first, std::size_t last, stretch at_once) noexcept;

/// The upper part of a range that was split, with the work's state for it.
template <class Work>
class range_part final : public fork_frame {
 public:
  range_part(fork_scope& scope, Work&& state, std::size_t first, std::size_t last, stretch at_once)
      : fork_frame(scope),
        scope_(scope),
        work(std::move(state)),
        first_(first),
        last_(last),
        at_once_(at_once) {}

 private:
  void run() noexcept override { run_range(scope_, work, first_, last_, at_once_); }

  fork_scope& scope_;

 public:
  Work work;

 private:
  std::size_t first_, last_;
  stretch at_once_;
};

/// Does [first, last), offering the upper half of what is left whenever this thread has nothing on offer: at
/// the beginning, and each time somebody took the last offer. So a range is split about as often as threads
/// want work, and log n times if nobody does. That is lazy binary splitting (Tzannes, Caragea, Barua and
/// Vishkin, "Lazy Binary-Splitting: A Run-Time Adaptive Work-Stealing Scheduler", PPoPP 2010), with a stretch
/// that is measured in place of their fixed number of iterations.
///
/// `Work` has run(first, last), fork() for the state of a part above this one, and absorb(part) to take over
/// what that part came to. All may throw.
template <class Work>
void run_range(fork_scope& scope, Work& work, std::size_t first, std::size_t last, stretch at_once) noexcept {
  at_once.begin();
  try {
    while (first != last) {
      if (scope.leaves_out())
        return;
      const std::size_t left = last - first;
      if (left > at_once.size() && scope.nothing_on_offer()) {
        const std::size_t middle = first + left / 2;
        range_part<Work> above(scope, work.fork(), middle, last, at_once);
        scope.fork(above);
        run_range(scope, work, first, middle, at_once);
        scope.join(above);
        // What a part that threw came to is in no state to be combined with anything.
        if (!scope.has_failed())
          work.absorb(above.work);
        return;
      }
      const std::size_t end = first + std::min(left, at_once.size());
      work.run(first, end);
      first = end;
      at_once.next();
    }
  } catch (...) {
    scope.fail(std::current_exception());
  }
}

} // namespace fourfold::detail
