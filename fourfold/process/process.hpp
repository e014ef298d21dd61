#pragma once

#include <fourfold/base/wait_limit.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/process/detail/carried_call.hpp>
#include <fourfold/process/exit_status.hpp>
#include <fourfold/process/sandbox_options.hpp>
#include <fourfold/process/start_method.hpp>

#include <signal.h>
#include <sys/types.h>

#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace fourfold {
namespace detail {
class started_process;
}

struct process_options {
  /// As ps and top show it, cut to 15 characters.
  std::string name = "process";
  /// How it comes to be.
  start_method start = start_method::from_template;
  /// Locks it down from its start.
  std::optional<sandbox_options> sandbox = {};
};

/// A function that runs in a process of its own.
///
///   process copier(copy_files, from, to);              // a function, or a lambda whose captures can be carried
///   process parser({.name = "parser"}, parse, path);
///   if (!copier.join().success()) ...                  // or: co_await copier.async_join()
///
/// Function and arguments travel as those of a process_pool's calls do; what the function returns is dropped, and a
/// coroutine function runs on a loop of its own. The process exits with 0 when the function returns, and with 1 when it
/// throws, after writing the exception's type and text to standard error. It may call exit() as it likes.
///
/// It starts where workers do (start_method.hpp): main() does not run in it, and nothing of what the program has opened
/// or locked is there. Standard output and error are the program's, standard input is empty. Ctrl-C is for the program:
/// the process ignores it, and ends with the program, however that ends.
///
/// (1) Cancellation-aware: both forms of join; the process runs on. (2) The waiter resumes where it waits. (3) Any
/// thread may call any function, several may join at once, and all get the same status; moving and destruction are for
/// when nobody else uses it. (4) Destruction of one that runs terminates it (SIGTERM), kills it after 2 s, and
/// returns when it has been reaped. There is never a zombie.
///
/// Bad at: telling what the function returned. For that there is process_pool.
class process {
 public:
  /// No process: `joinable()` is false.
  process() noexcept;
  /// Starts `f(arguments...)`; returns when the process exists. Throws std::system_error when the kernel gives none or
  /// lacks what the sandbox needs, `error` when the program cannot serve as template, what encoding throws: then the
  /// function was not and will not be run.
  template <class F, class... A>
    requires(!std::same_as<std::remove_cvref_t<F>, process> &&
             !std::same_as<std::remove_cvref_t<F>, process_options>)
  explicit process(F&& f, A&&... arguments)
      : process(process_options{}, std::forward<F>(f), std::forward<A>(arguments)...) {}
  template <class F, class... A>
    requires(!std::same_as<std::remove_cvref_t<F>, detail::carried_call>)
  process(process_options options, F&& f, A&&... arguments)
      : process(std::move(options), detail::carry_call(std::forward<F>(f), std::forward<A>(arguments)...)) {}
  process(process&& other) noexcept;
  /// Ends the one that was held, as destruction does.
  process& operator=(process&& other) noexcept;
  ~process();

  [[nodiscard]] bool joinable() const noexcept { return started_ != nullptr; }
  /// Its process id. All functions from here on throw `error` if there is no process.
  [[nodiscard]] pid_t pid() const;
  [[nodiscard]] const std::string& name() const;
  /// How it has ended; nothing while it runs.
  [[nodiscard]] std::optional<exit_status> status();

  /// Waits for its end. Throws `timed_out` or `cancelled`; may be called again, also after it has ended.
  exit_status join(const wait_limit& limit = {});
  /// The process must not be destroyed or moved meanwhile.
  [[nodiscard]] task<exit_status> async_join();

  /// Sends SIGTERM, which ends it unless the function has other plans. Nothing happens if it has ended already.
  void terminate() { send_signal(SIGTERM); }
  /// Sends SIGKILL.
  void kill() { send_signal(SIGKILL); }
  void send_signal(int signal);

 private:
  process(process_options options, const detail::carried_call& call);
  [[nodiscard]] detail::started_process& started() const;

  std::unique_ptr<detail::started_process> started_;
};

} // namespace fourfold
