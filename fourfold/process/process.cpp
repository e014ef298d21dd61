#include <fourfold/base/errors.hpp>
#include <fourfold/base/waiter.hpp>
#include <fourfold/loop/async_descriptor.hpp>
#include <fourfold/process/detail/process_setup.hpp>
#include <fourfold/process/detail/sandbox.hpp>
#include <fourfold/process/detail/system_call.hpp>
#include <fourfold/process/detail/template_process.hpp>
#include <fourfold/process/process.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>

namespace fourfold {
namespace detail {

/// A process and the connection to the template that tells of its end.
class started_process {
 public:
  started_process(process_options options, const carried_call& call) : name_(std::move(options.name)) {
    if (options.sandbox)
      require_support(*options.sandbox);
    const unique_fd setup = encode_setup({.call = call, .sandbox = std::move(options.sandbox)});
    const start_request request{.fresh = options.start == start_method::fresh_execution,
                                .name = short_name(name_)};
    // A template that has just died is replaced, once: nothing has been started.
    if (!start(request, setup.get())) {
      template_.emplace();
      if (!start(request, setup.get()))
        throw error("the worker template died and its successor, too: the function was not run");
    }
  }

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  std::optional<exit_status> status() {
    const std::lock_guard guard(lock_);
    if (!status_)
      read_news();
    return status_;
  }

  void send_signal(int signal) const noexcept {
    // Through the pidfd, which cannot name a stranger that got the number later.
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
  }

  exit_status join(const wait_limit& limit) {
    unique_fd bell; // rung on cancellation
    if (limit.token.can_be_cancelled())
      bell = unique_fd(checked(::eventfd(0, EFD_CLOEXEC), "eventfd"));
    const cancellation_callback on_cancellation(limit.token, [&]() noexcept { ring_bell(bell.get()); });
    const blocking_scope blocking;
    for (;;) {
      if (limit.token.cancellation_requested())
        throw cancelled();
      if (const auto ended = status())
        return *ended;
      int timeout = -1;
      if (limit.deadline != never) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit.deadline - clock::now()).count();
        if (left <= 0)
          throw timed_out();
        timeout = static_cast<int>(std::min<std::int64_t>(left, 1'000'000));
      }
      std::array<pollfd, 2> watched{{{.fd = news(), .events = POLLIN, .revents = 0},
                                     {.fd = bell.get(), .events = POLLIN, .revents = 0}}};
      if (::poll(watched.data(), watched.size(), timeout) < 0 && errno != EINTR)
        throw_errno("poll");
    }
  }

  task<exit_status> async_join() {
    for (;;) {
      if (const auto ended = status())
        co_return *ended;
      auto turns_readable = async_descriptor::to_watch(checked(::fcntl(news(), F_DUPFD_CLOEXEC, 0), "fcntl"));
      co_await turns_readable.readable();
    }
  }

 private:
  /// Where its end shows: the socket stays readable from then on.
  [[nodiscard]] int news() const noexcept { return template_->control(); }

  /// False if the template died first.
  bool start(const start_request& request, int setup) {
    if (!template_->start_process(request, setup))
      return false;
    for (;;) {
      pollfd answer{.fd = news(), .events = POLLIN, .revents = 0};
      ::poll(&answer, 1, -1);
      auto first = template_->next_notice();
      if (first.ended)
        return false;
      if (!first.notice)
        continue;
      if (first.notice->what == worker_notice::event::failed)
        throw_errno("starting a process", first.notice->exit_code);
      pid_ = first.notice->pid;
      pidfd_ = std::move(first.pidfd);
      if (!pidfd_)
        throw_errno("receiving the descriptor of a process", EMFILE);
      return true;
    }
  }

  void read_news() {
    const auto next = template_->next_notice();
    if (next.notice) {
      status_ = exit_status{.code = next.notice->exit_code,
                            .signal = next.notice->signal,
                            .core_dumped = next.notice->core_dumped};
    } else if (next.ended) {
      // The template has died, and the process with it: not before the kernel has come to that.
      pollfd ended{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
      while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
      }
      status_ = exit_status{.signal = SIGKILL};
    }
    if (status_)
      ::shutdown(news(), SHUT_RD); // readable for good: for those who wait beside this thread
  }

  std::string name_;
  std::optional<template_process> template_{std::in_place};
  pid_t pid_ = -1;
  unique_fd pidfd_;
  std::mutex lock_;
  std::optional<exit_status> status_; // under lock_
};

} // namespace detail

namespace {

// How long a process that nobody joins may take over SIGTERM.
constexpr auto termination_time = std::chrono::seconds(2);

/// Ends one that nobody has joined.
void end(std::unique_ptr<detail::started_process> process) noexcept {
  if (!process)
    return;
  try {
    if (process->status())
      return;
    process->send_signal(SIGTERM);
    process->send_signal(SIGCONT); // also if it was stopped
    process->join(termination_time);
  } catch (const std::exception&) { // it takes too long, or there is nothing to wait with
    process->send_signal(SIGKILL);
  }
  // The destructor of its connection returns when it has been reaped.
}

} // namespace

process::process() noexcept = default;
process::process(process_options options, const detail::carried_call& call)
    : started_(std::make_unique<detail::started_process>(std::move(options), call)) {}
process::process(process&& other) noexcept = default;
process& process::operator=(process&& other) noexcept {
  end(std::exchange(started_, std::move(other.started_)));
  return *this;
}
process::~process() { end(std::move(started_)); }

detail::started_process& process::started() const {
  if (!started_)
    throw error("there is no process: it was made without a function, or moved from");
  return *started_;
}

pid_t process::pid() const { return started().pid(); }
const std::string& process::name() const { return started().name(); }
std::optional<exit_status> process::status() { return started().status(); }
exit_status process::join(const wait_limit& limit) { return started().join(limit); }
task<exit_status> process::async_join() { return started().async_join(); }
void process::send_signal(int signal) { started().send_signal(signal); }

std::string to_string(const exit_status& status) {
  if (status.signal == 0)
    return "exited with status " + std::to_string(status.code);
  std::string text = "was killed by signal " + std::to_string(status.signal);
  if (const char* name = sigabbrev_np(status.signal))
    text += std::string(" (SIG") + name + ")";
  if (status.core_dumped)
    text += ", core dumped";
  return text;
}

} // namespace fourfold
