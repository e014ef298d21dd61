#pragma once

#include <fourfold/thread/parallel_for.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <ranges>
#include <type_traits>
#include <utility>

namespace fourfold {
namespace detail {

template <class T, class Combine, class Element, class F>
class reduce_work {
 public:
  reduce_work(const T& identity, Combine& combine, const Element& element, F& f)
      : value(identity), identity_(&identity), combine_(&combine), element_(&element), f_(&f) {}

  void run(std::size_t first, std::size_t last) {
    const Element element = *element_;
    F& f = *f_;
    T sum = std::move(value);
    for (std::size_t i = first; i != last; ++i)
      sum = std::invoke(*combine_, std::move(sum), std::invoke(f, element(i)));
    value = std::move(sum);
  }
  reduce_work fork() const { return reduce_work(*identity_, *combine_, *element_, *f_); }
  void absorb(reduce_work& above) {
    value = std::invoke(*combine_, std::move(value), std::move(above.value));
  }

  T value;

 private:
  const T* identity_;
  Combine* combine_;
  const Element* element_;
  F* f_;
};

} // namespace detail

/// `combine` of all `f(i)`, i in [first, last), as if from left to right; `identity` if there are none.
///
///   parallel_reduce(pool, 1, 1001, 0L, std::plus(), [](long i) { return i * i; });   // 333833500
///   parallel_reduce(pool, words, 0UZ, std::plus(), &std::string::size);
///
/// `combine(T, T)` must be associative and need not be commutative; `combine(identity, x)` must be x. Where
/// it combines depends on who was idle when: of floating-point sums the last digits differ from run to run.
///
/// Everything else is as with parallel_for: threads, exceptions (of f, of combine, of copies of T), limits,
/// coroutines.
template <std::integral I, std::copyable T, class Combine, class F>
  requires std::invocable<F&, I>
[[nodiscard]] T parallel_reduce(thread_pool& pool, I first, std::type_identity_t<I> last, T identity,
                                Combine combine, F f, const parallel_options& options = {}) {
  const auto number = [first](std::size_t i) { return detail::number_at(first, i); };
  detail::reduce_work work(identity, combine, number, f);
  detail::run_parallel(pool, work, detail::count_between(first, last), options);
  return std::move(work.value);
}

/// The same of `f(element)`, for a range with random access.
template <std::ranges::random_access_range R, std::copyable T, class Combine, class F = std::identity>
  requires std::ranges::sized_range<R> && std::invocable<F&, std::ranges::range_reference_t<R>>
[[nodiscard]] T parallel_reduce(thread_pool& pool, R&& range, T identity, Combine combine, F f = {},
                                const parallel_options& options = {}) {
  const auto begin = std::ranges::begin(range);
  const auto element = [begin](std::size_t i) -> decltype(auto) {
    return begin[static_cast<std::ranges::range_difference_t<R>>(i)];
  };
  detail::reduce_work work(identity, combine, element, f);
  detail::run_parallel(pool, work, static_cast<std::size_t>(std::ranges::size(range)), options);
  return std::move(work.value);
}

} // namespace fourfold
