#pragma once

#include <fourfold/loop/task.hpp>
#include <fourfold/place/executor.hpp>
#include <fourfold/sync/future.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <iterator>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {

struct map_options {
  /// How many inputs travel in one call; 0 chooses: one while there are fewer than 64 calls for each worker,
  /// and then so many that there are 64. A coroutine function always gets one, since many of them run at once
  /// anyway.
  std::size_t chunk = 0;
};

namespace detail {

template <class F, class T>
using mapped_t = fourfold::call_result_t<F, T>;
/// What map() gives: a vector in the order of the inputs, nothing for void.
template <class R>
using map_result =
    std::conditional_t<std::is_void_v<R>, void, std::vector<std::conditional_t<std::is_void_v<R>, int, R>>>;

/// Calls `f` for each of some inputs; what map() submits. Without state if `f` has none, so that it travels
/// to a process.
template <class F, class T>
struct chunk_call {
  [[no_unique_address]] F f;

  map_result<mapped_t<F, T>> operator()(std::vector<T> inputs) const {
    if constexpr (std::is_void_v<mapped_t<F, T>>) {
      for (T& input : inputs)
        std::invoke(f, std::move(input));
    } else {
      map_result<mapped_t<F, T>> results;
      results.reserve(inputs.size());
      for (T& input : inputs)
        results.push_back(std::invoke(f, std::move(input)));
      return results;
    }
  }
};

/// A map under way: the future that the caller has, made of the futures of its calls. `Part` is what one call
/// returns.
template <class Whole, class Part>
class map_state final : public future_state<Whole> {
 public:
  void add(future<Part> part) { parts_.push_back(part.release_state()); }

  /// After the last add(): from now on the parts' ends are counted. The caller keeps its own reference.
  void start() {
    unfinished_.store(parts_.size() + 1, std::memory_order_relaxed);
    for (auto& part : parts_) {
      this->add_reference();
      part->call_when_ready(
          [self = state_pointer<map_state>(this), &part]() mutable { self->part_ended(*part); });
    }
    one_ended();
  }

  bool cancel_work() noexcept override {
    bool any = false;
    for (auto& part : parts_)
      any |= part->cancel_work();
    return any;
  }

 private:
  void assist(const wait_limit& limit) override {
    for (auto& part : parts_)
      part->help(limit);
  }

  void part_ended(future_state<Part>& part) noexcept {
    // The first failure stops what has not begun; what runs is waited for, so nothing goes on behind the
    // caller's back.
    if (part.failed() && !failed_.exchange(true))
      cancel_work();
    one_ended();
  }

  void one_ended() noexcept {
    // Release and acquire: the last one sees what all parts have written.
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) != 1)
      return;
    this->set_result_of([this]() -> Whole { return collect(); });
  }

  Whole collect() {
    rethrow_first_failure();
    if constexpr (!std::is_void_v<Whole>) {
      Whole whole;
      if constexpr (std::is_same_v<Whole, Part>) {
        if (parts_.size() == 1)
          return parts_.front()->take();
        for (auto& part : parts_) {
          Part some = part->take();
          whole.insert(whole.end(), std::make_move_iterator(some.begin()),
                       std::make_move_iterator(some.end()));
        }
      } else {
        whole.reserve(parts_.size());
        for (auto& part : parts_)
          whole.push_back(part->take());
      }
      return whole;
    }
  }

  /// The failure of the earliest input, but for those that were cancelled on account of another's.
  void rethrow_first_failure() {
    future_state<Part>* first = nullptr;
    for (auto& part : parts_) {
      if (!part->failed())
        continue;
      if (!part->template failed_with<cancelled>()) {
        part->take();
        return;
      }
      if (first == nullptr)
        first = part.get();
    }
    if (first != nullptr)
      first->take();
  }

  std::vector<state_pointer<future_state<Part>>> parts_;
  std::atomic<std::size_t> unfinished_{0};
  std::atomic<bool> failed_{false};
};

} // namespace detail

/// Calls `f` for each input, at `place`, and gives the results in the order of the inputs.
///
///   std::vector<std::uint64_t> counts = map(pool, count_primes, limits).get();      // or co_await map(…)
///
/// `f` is a function or, where the place runs coroutines, a coroutine function. The inputs are copied, or
/// moved from if the range is passed as an rvalue. The first failure cancels what has not begun; when
/// everything has ended, the future gets that exception. Cancelling the future does the same. Throws what
/// submit throws.
template <executor E, class F, std::ranges::input_range Range>
auto map(E& place, F f, Range&& inputs, map_options options = {}) {
  using input = std::ranges::range_value_t<Range>;
  using result = detail::mapped_t<F, input>;
  using whole = detail::map_result<result>;
  constexpr bool is_coroutine = is_coroutine_result_v<std::invoke_result_t<F&, input>>;
  using part = std::conditional_t<is_coroutine, result, whole>;

  std::vector<input> all;
  if constexpr (std::ranges::sized_range<Range>)
    all.reserve(static_cast<std::size_t>(std::ranges::size(inputs)));
  for (auto&& one : inputs) {
    if constexpr (std::is_lvalue_reference_v<Range>) {
      all.push_back(one);
    } else {
      all.push_back(std::move(one));
    }
  }

  auto state = detail::make_state<detail::map_state<whole, part>>();
  try {
    if constexpr (is_coroutine) {
      for (input& one : all)
        state->add(place.submit(f, std::move(one)));
    } else {
      constexpr std::size_t calls_per_worker = 64;
      const std::size_t calls = std::size_t{parallelism(place)} * calls_per_worker;
      const std::size_t chunk =
          options.chunk != 0 ? options.chunk : std::max<std::size_t>(1, all.size() / calls);
      for (std::size_t begin = 0; begin < all.size(); begin += chunk) {
        const auto first = std::make_move_iterator(all.begin() + static_cast<std::ptrdiff_t>(begin));
        const auto last = first + static_cast<std::ptrdiff_t>(std::min(chunk, all.size() - begin));
        state->add(place.submit(detail::chunk_call<F, input>{f}, std::vector<input>(first, last)));
      }
    }
  } catch (...) {
    state->cancel_work();
    throw;
  }
  state->start();
  return future<whole>(std::move(state));
}

} // namespace fourfold
