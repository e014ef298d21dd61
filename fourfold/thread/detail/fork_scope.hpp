#pragma once

#include <fourfold/base/cancellation.hpp>
#include <fourfold/base/wait_limit.hpp>
#include <fourfold/base/waiter.hpp>
#include <fourfold/thread/detail/pool_task.hpp>

#include <atomic>
#include <cstdint>
#include <exception>

namespace fourfold {
class thread_pool;
}

namespace fourfold::detail {

class fork_scope;
class pool_core;

/// A part of a computation that an idle thread of the pool may take. It lives on the stack of the thread that
/// forks it, which joins it before it leaves that stack frame; so a fork allocates nothing.
class fork_frame : public pool_task, public parking_place {
 public:
  fork_frame(const fork_frame&) = delete;
  fork_frame& operator=(const fork_frame&) = delete;

  void run_on(pool_worker& thief) noexcept final;
  bool withdraw(waiter& w) noexcept final;

 protected:
  explicit fork_frame(fork_scope& scope) noexcept : scope_(&scope) {}
  ~fork_frame() = default;

 private:
  friend class fork_scope;

  /// The part itself; what it throws goes to the scope's fail().
  virtual void run() noexcept = 0;

  [[nodiscard]] bool done() const noexcept;
  void complete() noexcept;
  [[nodiscard]] bool park(waiter& w) noexcept;
  static waiter* done_mark() noexcept { return reinterpret_cast<waiter*>(&done_marker_); }
  static inline std::uintptr_t done_marker_ = 0;

  fork_scope* scope_;
  // As in a future's state: null, who waits, or done_mark().
  std::atomic<waiter*> slot_{nullptr};
  // Who has taken it, once somebody has.
  std::atomic<pool_worker*> thief_{nullptr};
  // It stood in a deque. Written and read by the forking thread.
  bool forked_ = false;
};

/// One fork-join call: what its parts have in common, on the stack of the thread that made the call.
///
/// That thread works on the parts itself. If it is none of the pool's it becomes a guest for the duration: it
/// counts as one of the threads that are to run, and has a deque that the others steal from.
///
/// A join takes the part back if nobody has it (then it is the newest in the deque), and otherwise helps the
/// thread that took it, by stealing from that thread only: all it holds was forked by the awaited part, so
/// nothing unrelated ever runs on top of a stack that waits. That is leapfrogging (Wagner and Calder,
/// "Leapfrogging: A Portable Technique for Implementing Efficient Futures", PPoPP 1993). If there is nothing
/// to help with, it parks, and the pool sees one of its threads block.
class fork_scope {
 public:
  /// Throws `pool_closed`.
  explicit fork_scope(thread_pool& pool);
  ~fork_scope();
  fork_scope(const fork_scope&) = delete;
  fork_scope& operator=(const fork_scope&) = delete;

  /// Offers the part to other threads. Parts are joined latest first, all before the scope ends. On the
  /// thread of the scope or on one that runs a part of it, like all below.
  void fork(fork_frame& part) noexcept;
  void join(fork_frame& part) noexcept;

  /// Whether this thread offers nothing yet: the moment to split work in two.
  [[nodiscard]] bool nothing_on_offer() const noexcept;

  /// Asked before a part is begun: true if it must be left out, because another one has failed, here or
  /// further out, or the call was cancelled.
  [[nodiscard]] bool leaves_out() noexcept {
    if (!root_->token_.cancellation_requested() &&
        // Relaxed: a part that begins a moment too late does no harm.
        root_->attention_.load(std::memory_order_relaxed) == 0)
      return false;
    return leaves_out_slowly();
  }

  /// Whether a part of this scope has failed that was joined, or ran on this thread.
  [[nodiscard]] bool has_failed() const noexcept { return failed_.load(std::memory_order_relaxed); }

  /// A part threw. The first one counts, and the others that have not begun are left out.
  void fail(std::exception_ptr exception) noexcept;

  /// After the last join. Throws the first failure, `timed_out` if parts were left out for the limit, or else
  /// `cancelled` if parts were left out.
  void finish() {
    if (incomplete_.load(std::memory_order_relaxed))
      finish_incomplete();
  }

  /// At the beginning of a pool's thread; with null, at its end.
  static void begin_on(pool_worker* worker) noexcept { here_.worker = worker; }

  /// The token that parts see as current_cancellation().
  [[nodiscard]] cancellation_token token() const noexcept { return root_->token_; }

 protected:
  fork_scope(thread_pool& pool, const wait_limit* limit);

 private:
  friend class fork_frame;
  friend class fork_isolation;

  /// What a thread works on now, and as which worker.
  struct position {
    pool_worker* worker;
    fork_scope* scope;
  };
  static constinit inline thread_local position here_{};

  void become_guest();
  void run_here(fork_frame& part) noexcept;
  void wait_for(fork_frame& part) noexcept;
  bool leaves_out_slowly() noexcept;
  [[nodiscard]] bool stopped() const noexcept;
  [[nodiscard]] bool out_of_time() const noexcept;
  [[noreturn]] void finish_incomplete();

  pool_core& core_;
  const position outer_;
  fork_scope* const root_; // the outermost one around this, or itself
  pool_worker* guest_ = nullptr;
  const wait_limit* const limit_;
  // Of the root: the token of the call that it runs in.
  cancellation_token token_;
  // Of the root: how many scopes inside have failed or have a limit. While none, nobody looks outwards.
  std::atomic<unsigned> attention_{0};
  std::atomic<bool> failed_{false};
  // Something was left out or has failed. Ordered by the joins.
  std::atomic<bool> incomplete_{false};
  // Written by who set failed_, read after the last join.
  std::exception_ptr first_failure_;
};

/// The same with a limit of its own.
class limited_fork_scope final : public fork_scope {
 public:
  /// `limit` must live as long.
  limited_fork_scope(thread_pool& pool, const wait_limit& limit) : fork_scope(pool, &limit) {}
};

/// What runs in this scope is no part of the computation below it on the stack.
class fork_isolation {
 public:
  explicit fork_isolation(pool_worker& worker) noexcept : outer_(fork_scope::here_) {
    fork_scope::here_ = {.worker = &worker, .scope = nullptr};
  }
  ~fork_isolation() { fork_scope::here_ = outer_; }
  fork_isolation(const fork_isolation&) = delete;
  fork_isolation& operator=(const fork_isolation&) = delete;

 private:
  const fork_scope::position outer_;
};

} // namespace fourfold::detail
