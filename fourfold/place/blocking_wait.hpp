#pragma once

#include <fourfold/base/wait_limit.hpp>
#include <fourfold/loop/wait.hpp>
#include <fourfold/place/detail/completion_line.hpp>
#include <fourfold/sync/future.hpp>

#include <cstddef>
#include <exception>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {
namespace detail {

/// Futures that a thread waits for, and gives back to their owner in the end.
template <class T>
class borrowed_futures {
 public:
  explicit borrowed_futures(std::span<future<T>> futures) : futures_(futures), watched_(futures.size()) {}
  borrowed_futures(const borrowed_futures&) = delete;
  borrowed_futures& operator=(const borrowed_futures&) = delete;
  ~borrowed_futures() {
    for (watched& one : watched_) {
      if (one.parked && line_.withdraw(one))
        --parked_;
    }
    for (; parked_ != 0; --parked_)
      static_cast<void>(line_.take_ending());
    for (std::size_t i = 0; i < futures_.size(); ++i) {
      if (watched_[i].state)
        futures_[i] = future<T>(std::move(watched_[i].state));
    }
  }

  void wait(return_when when, const wait_limit& limit) {
    for (std::size_t i = 0; i < futures_.size(); ++i) {
      watched& one = watched_[i];
      one.state = futures_[i].release_state();
      if (!one.state)
        throw error("blocking_wait: a future without a call");
      line_.watch(one, *one.state);
      one.parked = true;
      ++parked_;
    }
    while (parked_ != 0) {
      auto& ended = static_cast<watched&>(line_.take(limit, *oldest()));
      ended.parked = false;
      --parked_;
      if (when == return_when::first_completed ||
          (when == return_when::first_failed && ended.state->exception())) {
        return;
      }
    }
  }

 private:
  struct watched final : completion_line::entry {
    state_pointer<future_state<T>> state;
    bool parked = false;
  };

  [[nodiscard]] future_state<T>* oldest() noexcept {
    while (!watched_[first_].parked)
      ++first_;
    return watched_[first_].state.get();
  }

  std::span<future<T>> futures_;
  completion_line line_;
  std::vector<watched> watched_; // never resized: its elements stand in the line
  std::size_t parked_ = 0;
  std::size_t first_ = 0;
};

} // namespace detail

/// What `co_await wait(futures, when)` is to a coroutine, for a thread: waits until enough of the futures are
/// ready, and returns the indices of all that are, in rising order. Takes no result and cancels nothing: the
/// futures stay valid, also when it throws.
///
///   for (std::size_t i : blocking_wait(calls, return_when::first_completed, 1s))
///     use(calls[i].get());
///
/// The futures, of any place, must be valid, with nobody else waiting on them; `first_failed` counts as having seen
/// their exceptions. Throws `timed_out` or `cancelled`, and `wrong_thread` on a loop that would have to end one.
/// Threads: any.
template <class T>
std::vector<std::size_t> blocking_wait(std::span<future<T>> futures,
                                       return_when when = return_when::all_completed,
                                       const wait_limit& limit = {}) {
  if (!detail::enough_are_ready(futures, when))
    detail::borrowed_futures<T>(futures).wait(when, limit);
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < futures.size(); ++i) {
    if (futures[i].ready())
      ready.push_back(i);
  }
  return ready;
}
template <class T>
std::vector<std::size_t> blocking_wait(std::vector<future<T>>& futures,
                                       return_when when = return_when::all_completed,
                                       const wait_limit& limit = {}) {
  return blocking_wait(std::span(futures), when, limit);
}

/// What `co_await gather(futures)` is to a coroutine, for a thread: waits for all and takes the results, in order
/// (nothing for void). If one fails, the others are cancelled and waited for, and its exception is thrown. A wait
/// that reaches its limit or is cancelled takes nothing, and leaves futures and calls as they are.
template <class T>
auto blocking_gather(std::vector<future<T>>& futures, const wait_limit& limit = {}) {
  static_assert(!std::is_reference_v<T>,
                "blocking_gather cannot put references into a vector: return a pointer");
  std::exception_ptr failure;
  for (const std::size_t i : blocking_wait(futures, return_when::first_failed, limit)) {
    if (!failure)
      failure = futures[i].exception();
  }
  if (failure) {
    for (future<T>& one : futures)
      one.cancel();
    static_cast<void>(blocking_wait(futures, return_when::all_completed, limit));
    std::rethrow_exception(failure);
  }
  if constexpr (std::is_void_v<T>) {
    for (future<T>& one : futures)
      one.get();
  } else {
    std::vector<T> results;
    results.reserve(futures.size());
    for (future<T>& one : futures)
      results.push_back(one.get());
    return results;
  }
}

} // namespace fourfold
