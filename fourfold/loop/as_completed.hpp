#pragma once

#include <fourfold/base/errors.hpp>
#include <fourfold/base/lost_error.hpp>
#include <fourfold/loop/awaitable.hpp>
#include <fourfold/loop/detail/child_scope.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/sync/semaphore.hpp>

#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {

template <class T>
class completions;

namespace detail {
template <class T, class Body>
auto as_completed_list(std::vector<task<T>> tasks, Body body)
    -> task<body_call_result_t<Body, completions<T>&>>;
}

/// One that has ended. Threads: the loop's.
template <class T>
class completed {
 public:
  /// Which one, counted from 0 in the order in which they were given.
  [[nodiscard]] std::size_t index() const noexcept { return index_; }
  /// Its result, once; or throws its exception.
  T get() { return source_->take(index_); }

 private:
  friend class completions<T>;
  completed(completions<T>& source, std::size_t index) noexcept : source_(&source), index_(index) {}

  completions<T>* source_;
  std::size_t index_;
};

/// Tasks that run beside one another, had one by one as they end; made by `as_completed`. Threads: the loop's.
template <class T>
class completions {
 public:
  completions(const completions&) = delete;
  completions& operator=(const completions&) = delete;

  /// The next one that ends; an empty optional when all have been had. One task may wait at a time.
  /// Cancellation-aware: yes, and none is lost by it.
  task<std::optional<completed<T>>> next() {
    if (had_ == children_.size())
      co_return std::nullopt;
    co_await ended_.async_acquire();
    co_return completed<T>(*this, order_[had_++]);
  }
  /// How many have not been had yet.
  [[nodiscard]] std::size_t remaining() const noexcept { return children_.size() - had_; }

 private:
  friend class completed<T>;
  template <class U, class Body>
  friend auto detail::as_completed_list(std::vector<task<U>> tasks, Body body)
      -> task<detail::body_call_result_t<Body, completions<U>&>>;

  struct note_end {
    completions* owner;
    std::size_t index;
    template <class Child>
    void operator()(Child&) const noexcept {
      owner->order_.push_back(index); // has its room
      owner->ended_.release();
    }
  };

  completions(detail::child_scope& scope, std::vector<task<T>>& works)
      : taken_(works.size()),
        order_(with_room(works.size())),
        children_(scope, works, detail::child_scope::on_failure::go_on,
                  [this](std::size_t index) { return note_end{this, index}; }) {}

  static std::vector<std::size_t> with_room(std::size_t count) {
    std::vector<std::size_t> empty;
    empty.reserve(count);
    return empty;
  }
  T take(std::size_t index) {
    if (taken_[index])
      throw error("as_completed: a result was taken twice");
    taken_[index] = true;
    return children_[index].take();
  }
  void tell_what_was_not_taken() noexcept {
    for (std::size_t i = 0; i < children_.size(); ++i) {
      if (!taken_[i] && children_[i].failure())
        tell_lost_error(children_[i].failure(), "a task of as_completed failed, and nobody took its result");
    }
  }

  std::vector<bool> taken_;
  std::vector<std::size_t> order_;
  std::size_t had_ = 0;
  semaphore ended_{0};
  detail::child_list<T, note_end> children_;
};

namespace detail {

template <class T, class Body>
auto as_completed_list(std::vector<task<T>> tasks, Body body)
    -> task<body_call_result_t<Body, completions<T>&>> {
  using result = body_call_result_t<Body, completions<T>&>;
  child_scope scope;
  completions<T> ended(scope, tasks);
  std::optional<typename outcome<result>::value_type> returned;
  try {
    if constexpr (std::is_void_v<result>) {
      co_await body(ended);
      returned.emplace();
    } else if constexpr (std::is_reference_v<result>) {
      returned.emplace(&co_await body(ended));
    } else {
      returned.emplace(co_await body(ended));
    }
  } catch (...) {
    scope.fail(std::current_exception());
  }
  scope.scope().cancel(); // those that the body has not waited for
  co_await scope.join();
  ended.tell_what_was_not_taken();
  // What the body has returned is not lost to a cancellation that comes while the rest are cleaning up.
  if (!returned)
    scope.leave_and_rethrow();
  if constexpr (std::is_reference_v<result>) {
    co_return **returned;
  } else if constexpr (!std::is_void_v<result>) {
    co_return std::move(*returned);
  }
}

} // namespace detail

/// Starts the elements of a range, beside one another, and runs `body(completions)`, a coroutine, which has them
/// in the order in which they end. When it returns, those that it has not waited for are cancelled, and all are
/// waited for. Returns what the body returns.
///
///   auto body = [&](completions<page>& ended) -> task<> {
///     while (auto one = co_await ended.next())
///       show(one->index(), one->get());            // get() throws what that one threw
///   };
///   co_await as_completed(std::move(fetches), body);
///
/// If the body throws, that is thrown afterwards. Takes tasks, futures and anything else that can be awaited,
/// which are moved from. Cancellation-aware: yes, cancels body and tasks, and waits. Threads: the loop's.
template <awaitable_range R, class Body>
  requires std::invocable<Body&, completions<detail::range_task_result_t<R>>&>
auto as_completed(R&& range, Body body) {
  return detail::as_completed_list(detail::tasks_of(std::forward<R>(range)), std::move(body));
}

} // namespace fourfold
