#pragma once

#include <sys/types.h>

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

namespace fourfold {

/// What every error of Fourfold derives from. Failures of the operating system are `std::system_error`
/// instead.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The operation was cancelled before it had an effect: by a cancellation token, by the task that ran it
/// being cancelled, or because the work was cancelled while it was still queued.
class cancelled : public error {
 public:
  cancelled() : error("the operation was cancelled") {}
  using error::error;
};

/// A signal asked the program to end, and run() cancelled its main task for it. A kind of `cancelled`, because
/// that is what has happened to the work: code that reports failures and passes over cancellations does so
/// here, too. One from run() that nobody catches ends the process as the signal would have.
class interrupted : public cancelled {
 public:
  explicit interrupted(int signal);

  /// The signal's number.
  [[nodiscard]] int signal() const noexcept { return signal_; }

 private:
  int signal_;
};

/// Whether `exception` is a `cancelled`. False for null.
[[nodiscard]] bool is_cancelled(const std::exception_ptr& exception) noexcept;

/// `E(arguments...)`, or what making it threw: for those who must report a failure and must not fail at it.
template <class E, class... A>
[[nodiscard]] std::exception_ptr exception_of(A&&... arguments) noexcept {
  try {
    return std::make_exception_ptr(E(std::forward<A>(arguments)...));
  } catch (...) {
    return std::current_exception();
  }
}

/// A time limit passed first; the operation had no effect.
class timed_out : public error {
 public:
  timed_out() : error("the time limit passed") {}
  using error::error;
};

/// The queue is closed: nothing can be put any more, and for a getter nothing is left either.
class queue_closed : public error {
 public:
  queue_closed() : error("the queue is closed") {}
};

/// The pool (or loop) has shut down: the function was not and will not be run.
class pool_closed : public error {
 public:
  pool_closed() : error("the pool is closed: the function was not and will not be run") {}
  using error::error;
};

/// A loop-bound operation was called where no loop runs, or from another thread than its loop's.
class wrong_thread : public error {
 public:
  using error::error;
};

/// The promise was destroyed without a value: its future can never have one.
class broken_promise : public error {
 public:
  broken_promise() : error("the promise was destroyed without setting a value or an exception") {}
};

/// A bounded object was released more often than it was acquired.
class released_too_often : public error {
 public:
  using error::error;
};

/// A lock was unlocked by somebody who does not hold it, or a wait needs a lock that is not held.
class not_the_owner : public error {
 public:
  using error::error;
};

/// This wait would never have ended: it closed a circle of parties that wait for one another. Thrown only while
/// `deadlock_detection` is on and asked to; what() is its report. The operation had no effect.
class deadlock : public error {
 public:
  using error::error;
};

/// Encoded bytes do not make sense: too short, too long, or a length, tag or flag that cannot be.
class decode_error : public error {
 public:
  using error::error;
};

/// The worker process that was running this call died. Only that call failed.
class worker_died : public error {
 public:
  /// `signal` is 0 when the worker ended by itself with `exit_code`. `reason` is a sentence more, if there is more to
  /// say.
  worker_died(pid_t pid, int signal, int exit_code, std::uint64_t task_id, const std::string& reason = {});

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// The signal that killed the worker, or 0.
  [[nodiscard]] int signal() const noexcept { return signal_; }
  /// The status it exited with; meaningful when `signal()` is 0.
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }
  /// The number of the call within its pool, counted from 1.
  [[nodiscard]] std::uint64_t task_id() const noexcept { return task_id_; }

 private:
  pid_t pid_;
  int signal_;
  int exit_code_;
  std::uint64_t task_id_;
};

/// An exception of another process whose type cannot be made again here.
class remote_error : public error {
 public:
  remote_error(std::string type_name, std::string message, std::string backtrace = {});

  /// The type's name in the process that threw, as a person would write it.
  [[nodiscard]] const std::string& type_name() const noexcept { return type_name_; }
  /// What `what()` said there; empty for a type that is no `std::exception`.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  /// Where it was thrown there, a line a function, innermost first. Empty for one that a coroutine threw.
  [[nodiscard]] const std::string& backtrace() const noexcept { return backtrace_; }

 private:
  std::string type_name_;
  std::string message_;
  std::string backtrace_;
};

} // namespace fourfold
