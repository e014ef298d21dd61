#pragma once

#include <fourfold/thread/detail/fork_sort.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <functional>
#include <iterator>
#include <ranges>

namespace fourfold {

/// Sorts [first, last) by `less`, on the threads of the pool and on this one. Not stable. Elements need only
/// move. n log n comparisons, whatever the order; nothing is allocated.
///
///   parallel_sort(pool, names);
///   parallel_sort(pool, orders, [](const order& a, const order& b) { return a.price < b.price; });
///
/// `less` is called from several threads at once, the same object. If it throws, or the call around is
/// cancelled, all elements are still there, in some order. Everything else is as with parallel_for.
///
/// Bad at: the first partition is one thread's work, so n elements on many CPUs take at least the time of n
/// comparisons and swaps; and ranges below a few thousand elements, which are sorted here.
template <std::random_access_iterator I, class Less = std::ranges::less>
  requires std::sortable<I, Less>
void parallel_sort(thread_pool& pool, I first, I last, Less less = {}) {
  detail::fork_scope scope(pool);
  detail::sort_range(scope, first, last, less, detail::sort_depth(static_cast<std::size_t>(last - first)));
  scope.finish();
}

template <std::ranges::random_access_range R, class Less = std::ranges::less>
  requires std::sortable<std::ranges::iterator_t<R>, Less> && std::ranges::common_range<R>
void parallel_sort(thread_pool& pool, R&& range, Less less = {}) {
  parallel_sort(pool, std::ranges::begin(range), std::ranges::end(range), std::move(less));
}

} // namespace fourfold
