#pragma once

#include <fourfold/thread/detail/fork_range.hpp>
#include <fourfold/thread/parallel_options.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <concepts>
#include <cstddef>
#include <ranges>
#include <type_traits>

namespace fourfold {
namespace detail {

/// How many numbers lie in [first, last); 0 if they are the wrong way round.
template <std::integral I>
std::size_t count_between(I first, I last) noexcept {
  using bits = std::make_unsigned_t<I>;
  return first < last ? static_cast<std::size_t>(static_cast<bits>(last) - static_cast<bits>(first)) : 0;
}
template <std::integral I>
I number_at(I first, std::size_t distance) noexcept {
  using bits = std::make_unsigned_t<I>;
  return static_cast<I>(static_cast<bits>(first) + static_cast<bits>(distance));
}

/// Calls `f` for the elements of a part of the range; `element(i)` gives what f is called with.
template <class Element, class F>
class for_work {
 public:
  for_work(const Element& element, F& f) noexcept : element_(&element), f_(&f) {}
  void run(std::size_t first, std::size_t last) {
    // Copies, so that the compiler need not think of them being changed by f.
    const Element element = *element_;
    F& f = *f_;
    for (std::size_t i = first; i != last; ++i)
      f(element(i));
  }
  for_work fork() const noexcept { return *this; }
  void absorb(const for_work&) const noexcept {}

 private:
  const Element* element_;
  F* f_;
};

template <class Work>
void run_parallel(thread_pool& pool, Work& work, std::size_t count, const parallel_options& options) {
  limited_fork_scope scope(pool, options.limit);
  run_range(scope, work, 0, count, stretch(options.grain));
  scope.finish();
}

} // namespace detail

/// Calls `f(i)` for each i in [first, last), on the threads of the pool and on this one, in no order; returns
/// when all are done.
///
///   parallel_for(pool, 0, image.height(), [&](int row) { blur(image, row); });
///   parallel_for(pool, samples, [](float& sample) { sample = filtered(sample); });
///
/// `f` is called from several threads at once, the same object. Calls may themselves use parallel_for and its
/// relatives, and wait: a thread that blocks in this library is replaced, as in the pool's calls. How much a
/// thread does at a stretch is found while it runs; see `parallel_options::grain`.
///
/// If f throws, calls that have not begun are left out, those that run are waited for, and the first exception
/// is thrown.
///
/// (1) Cancellation-aware: by `options.limit` and by the cancellation of the pool's call that it runs in; what
/// has begun is waited for. (2) It returns on the caller's thread. (3) Any thread. One from outside of the pool
/// takes part as one of the threads that are to run, for as long as the call takes: a pool of one thread does
/// meanwhile nothing else. Throws `pool_closed` after shutdown() or stop(); a pool that shuts down meanwhile
/// leaves the rest to the caller. (4) The pool must live as long as the call.
///
/// In a coroutine it would hold up the loop; there, `co_await pool.submit([&] { parallel_for(pool, …); })`.
/// That costs one call of the pool, and needs no form of its own.
template <std::integral I, class F>
  requires std::invocable<F&, I>
void parallel_for(thread_pool& pool, I first, std::type_identity_t<I> last, F f,
                  const parallel_options& options = {}) {
  const auto number = [first](std::size_t i) { return detail::number_at(first, i); };
  detail::for_work work(number, f);
  detail::run_parallel(pool, work, detail::count_between(first, last), options);
}

/// Calls `f(element)` for each element of a range with random access.
template <std::ranges::random_access_range R, class F>
  requires std::ranges::sized_range<R> && std::invocable<F&, std::ranges::range_reference_t<R>>
void parallel_for(thread_pool& pool, R&& range, F f, const parallel_options& options = {}) {
  const auto begin = std::ranges::begin(range);
  const auto element = [begin](std::size_t i) -> decltype(auto) {
    return begin[static_cast<std::ranges::range_difference_t<R>>(i)];
  };
  detail::for_work work(element, f);
  detail::run_parallel(pool, work, static_cast<std::size_t>(std::ranges::size(range)), options);
}

} // namespace fourfold
