#pragma once

#include <fourfold/loop/awaitable.hpp>
#include <fourfold/loop/detail/child_scope.hpp>
#include <fourfold/loop/task.hpp>

#include <concepts>
#include <string_view>
#include <utility>

namespace fourfold {

/// Tasks that run beside one another and end together; made by `with_task_group`, alive until it returns.
/// Threads: the loop's.
class task_group {
 public:
  task_group() = default;

  /// Starts `work` beside the caller; also from inside a child, also while the group is being left. Its
  /// result is dropped; its failure cancels the group. In a cancelled group it still starts, and ends at its
  /// first suspension. Takes tasks, futures and anything else that can be awaited; `name` is for this_task_name()
  /// and reports. Throws `wrong_thread` on another thread than the loop's.
  template <awaitable A>
  void spawn(A&& work) {
    check_thread();
    using result = detail::task_result_t<A>;
    (new detail::detached_child<result>(children_, as_task(std::forward<A>(work))))->start();
  }
  template <awaitable A>
  void spawn(A&& work, std::string_view name) {
    check_thread();
    using result = detail::task_result_t<A>;
    (new detail::named_detached_child<result>(children_, as_task(std::forward<A>(work)), name))->start();
  }

  /// Cancels the children and the body; `with_task_group` then returns normally. Throws `wrong_thread` on another
  /// thread than the loop's.
  void cancel() {
    check_thread();
    children_.scope().cancel();
  }

  /// How many children have not ended.
  [[nodiscard]] std::size_t live() const noexcept { return children_.live(); }

 private:
  template <class Body>
    requires std::invocable<Body&, task_group&>
  friend task<> with_task_group(Body body);

  void check_thread() const {
    if (&children_.owner() != loop::current_or_null())
      throw wrong_thread("task_group: it belongs to another loop's thread");
  }

  detail::child_scope children_;
};

/// Runs `body(group)`, a coroutine, and then waits for every task that was spawned into the group. No child
/// outlives it.
///
///   auto body = [&](task_group& group) -> task<> {
///     group.spawn(download(a));
///     group.spawn(download(b));
///     co_return;
///   };
///   co_await with_task_group(body);
///
/// If the body or a child fails, the others are cancelled and waited for; then that exception is thrown, or
/// an `exception_group` if more than one failed. (Name the closure as above: g++ 12 miscompiles a capturing
/// lambda written inside of a co_await expression.) Cancellation-aware: yes, it cancels body and children,
/// waits, and throws `cancelled`.
template <class Body>
  requires std::invocable<Body&, task_group&>
task<> with_task_group(Body body) {
  task_group group;
  try {
    co_await body(group);
  } catch (...) {
    group.children_.fail(std::current_exception());
  }
  // Again while somebody outside has spawned into it between the last child's end and this coroutine's turn.
  do {
    co_await group.children_.join();
  } while (group.live() != 0);
  group.children_.leave_and_rethrow();
}

} // namespace fourfold
