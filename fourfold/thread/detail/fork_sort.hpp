#pragma once

#include <fourfold/thread/detail/fork_scope.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <utility>

namespace fourfold::detail {

/// Fewer elements are sorted at once: some tens of microseconds, which a fork and a theft do not weigh
/// against.
inline constexpr std::ptrdiff_t sorted_at_once = 2000;

/// How many partitions deep a sort goes before it leaves the rest to std::sort, which is n log n for any
/// input (Musser, "Introspective Sorting and Selection Algorithms", 1997).
inline int sort_depth(std::size_t count) noexcept { return 2 * static_cast<int>(std::bit_width(count)); }

template <class I, class Less>
void sort_range(fork_scope& scope, I first, I last, Less& less, int depth) noexcept;

template <class I, class Less>
class sort_part final : public fork_frame {
 public:
  sort_part(fork_scope& scope, I first, I last, Less& less, int depth) noexcept
      : fork_frame(scope), scope_(scope), first_(first), last_(last), less_(less), depth_(depth) {}

 private:
  void run() noexcept override { sort_range(scope_, first_, last_, less_, depth_); }

  fork_scope& scope_;
  I first_, last_;
  Less& less_;
  int depth_;
};

template <class I, class Less>
I median_of_three(I a, I b, I c, Less& less) {
  if (less(*a, *b))
    return less(*b, *c) ? b : less(*a, *c) ? c : a;
  return less(*a, *c) ? a : less(*b, *c) ? c : b;
}

/// Moves what is probably near the middle to the front: the median of three medians of three (Bentley and
/// McIlroy, "Engineering a Sort Function", 1993).
template <class I, class Less>
void choose_pivot(I first, I last, Less& less) {
  const auto step = (last - first) / 9;
  const auto at = [&](int i) { return first + i * step; };
  const I low = median_of_three(at(0), at(1), at(2), less);
  const I middle = median_of_three(at(3), at(4), at(5), less);
  const I high = median_of_three(at(6), at(7), at(8), less);
  std::iter_swap(first, median_of_three(low, middle, high, less));
}

/// The part of the range whose elements are in their final place: not less than those before it, and not
/// greater than those behind.
template <class I, class Less>
std::pair<I, I> split_by_pivot(I first, I last, Less& less) {
  choose_pivot(first, last, less);
  const auto before_pivot = [&](auto&& x) { return less(x, *first); };
  const I pivot = std::prev(std::partition(std::next(first), last, before_pivot));
  std::iter_swap(first, pivot);
  I end = std::next(pivot);
  // Hardly anything is less: then much may be equal, which needs no more sorting.
  if (pivot - first < (last - first) / 8)
    end = std::partition(end, last, [&](auto&& x) { return !less(*pivot, x); });
  return {pivot, end};
}

template <class I, class Less>
void sort_range(fork_scope& scope, I first, I last, Less& less, int depth) noexcept {
  try {
    while (!scope.leaves_out()) {
      if (last - first <= sorted_at_once || depth-- == 0)
        return std::sort(first, last, std::ref(less));
      const auto [end_of_lower, upper] = split_by_pivot(first, last, less);
      sort_part<I, Less> above(scope, upper, last, less, depth);
      scope.fork(above);
      sort_range(scope, first, end_of_lower, less, depth);
      return scope.join(above);
    }
  } catch (...) {
    scope.fail(std::current_exception());
  }
}

} // namespace fourfold::detail
