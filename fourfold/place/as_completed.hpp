#pragma once

#include <fourfold/base/wait_limit.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/place/detail/completion_line.hpp>
#include <fourfold/sync/future.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

namespace fourfold {

/// A call that has ended.
template <class T>
struct completed_future {
  /// Which one, counted from 0 in the order in which they were given.
  std::size_t index;
  /// Ready: get() does not wait.
  future<T> result;
};

/// Calls of any place, had one by one as they end; made by `as_completed`.
///
/// Cancellation-aware: yes, both forms, and none is lost by it. Resumes: a coroutine on its own loop. Threads:
/// any, one at a time. Destruction leaves the calls that it still has alone, as dropping their futures does.
template <class T>
class completed_futures {
 public:
  explicit completed_futures(std::vector<future<T>> calls) : watched_(calls.size()) {
    try {
      for (std::size_t i = 0; i < calls.size(); ++i) {
        auto state = calls[i].release_state();
        if (!state)
          throw error("as_completed: a future without a call");
        line_.watch(watched_[i], *state);
        watched_[i].state = std::move(state);
        ++remaining_;
      }
    } catch (...) {
      withdraw_all();
      throw;
    }
  }
  completed_futures(const completed_futures&) = delete;
  completed_futures& operator=(const completed_futures&) = delete;
  ~completed_futures() { withdraw_all(); }

  /// The next one that ends; an empty optional when all have been had. Throws `timed_out` or `cancelled`.
  std::optional<completed_future<T>> next(const wait_limit& limit = {}) {
    if (remaining_ == 0)
      return std::nullopt;
    return leave(line_.take(limit, *oldest()));
  }
  task<std::optional<completed_future<T>>> async_next() {
    if (remaining_ == 0)
      co_return std::nullopt;
    co_await line_.async_ended();
    co_return leave(line_.ended_one());
  }
  /// How many have not been had yet.
  [[nodiscard]] std::size_t remaining() const noexcept { return remaining_; }

  /// Takes them as next() does.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = completed_future<T>;
    using difference_type = std::ptrdiff_t;

    [[nodiscard]] completed_future<T>& operator*() const noexcept { return *owner_->current_; }
    iterator& operator++() {
      owner_->current_ = owner_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    [[nodiscard]] friend bool operator==(const iterator& it, std::default_sentinel_t) noexcept {
      return it.at_end();
    }

   private:
    friend completed_futures;
    explicit iterator(completed_futures& owner) : owner_(&owner) { ++*this; }
    [[nodiscard]] bool at_end() const noexcept { return !owner_->current_; }

    completed_futures* owner_;
  };
  [[nodiscard]] iterator begin() { return iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  struct watched final : detail::completion_line::entry {
    detail::state_pointer<detail::future_state<T>> state; // null when it has been had
  };

  [[nodiscard]] detail::future_state<T>* oldest() noexcept {
    while (!watched_[first_].state)
      ++first_;
    return watched_[first_].state.get();
  }
  completed_future<T> leave(detail::completion_line::entry& ended) noexcept {
    auto& one = static_cast<watched&>(ended);
    --remaining_;
    return {static_cast<std::size_t>(&one - watched_.data()), future<T>(std::move(one.state))};
  }
  void withdraw_all() noexcept {
    for (watched& one : watched_) {
      if (one.state && line_.withdraw(one))
        --remaining_;
    }
    for (; remaining_ != 0; --remaining_)
      static_cast<void>(line_.take_ending());
  }

  detail::completion_line line_;
  std::vector<watched> watched_; // never resized: its elements stand in the line
  std::size_t remaining_ = 0;
  std::size_t first_ = 0;
  std::optional<completed_future<T>> current_;
};

/// The calls in the order in which they end, for a thread or a coroutine. All come, also those that are cancelled
/// or lost when their pool stops: a future of this library always becomes ready.
///
///   for (auto& [index, result] : as_completed(std::move(calls)))               // a thread
///     use(index, result.get());
///   auto ended = as_completed(std::move(calls));
///   while (auto one = co_await ended.async_next())                              // a coroutine
///     use(one->index, one->result.get());
///
/// For tasks, and to have those cancelled that are not waited for: the form with a body, loop/as_completed.hpp.
template <class T>
[[nodiscard]] completed_futures<T> as_completed(std::vector<future<T>> calls) {
  return completed_futures<T>(std::move(calls));
}

} // namespace fourfold
