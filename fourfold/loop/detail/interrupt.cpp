#include <fourfold/loop/detail/interrupt.hpp>
#include <fourfold/loop/loop.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <system_error>

namespace fourfold::detail {
namespace {

std::terminate_handler previous_terminate_handler = nullptr;

/// What exit() would have written. Not fflush(nullptr), which waits for a thread that reads from a terminal.
void flush_standard_output() noexcept {
  try {
    std::cout.flush();
  } catch (...) { // NOLINT(bugprone-empty-catch): the process is about to die of something else
  }
  std::fflush(stdout);
}

/// An exception is about to end the program; for `interrupted` that is no crash.
[[noreturn]] void end_program() noexcept {
  if (const std::exception_ptr uncaught = std::current_exception()) {
    try {
      std::rethrow_exception(uncaught);
    } catch (const interrupted& interruption) {
      flush_standard_output();
      die_by(interruption.signal());
    } catch (...) { // NOLINT(bugprone-empty-catch): the previous handler's
    }
  }
  if (previous_terminate_handler != nullptr)
    previous_terminate_handler();
  std::abort();
}

} // namespace

bool interrupt_watch::possible() noexcept {
  sigset_t blocked;
  return ::gettid() == ::getpid() && has_default_disposition(SIGINT) &&
         ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked) == 0 && ::sigismember(&blocked, SIGINT) == 0;
}

interrupt_watch::interrupt_watch() : bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!bell_)
    throw std::system_error(errno, std::generic_category(), "eventfd");
  slot_ = &signal_slot::open(signal_slot::role::interrupt, signal_bit(SIGINT), bell_.get());
}

interrupt_watch::~interrupt_watch() {
  if (slot_->close() && !seen_)
    ::raise(SIGINT);
}

void interrupt_watch::listen(scheduler& loop, reactor& completes, cancel_scope& cancels) {
  unique_fd duplicate(::fcntl(bell_.get(), F_DUPFD_CLOEXEC, 0));
  if (!duplicate)
    throw std::system_error(errno, std::generic_category(), "fcntl");
  rung_.descriptor = &completes.attach(duplicate.get());
  static_cast<void>(duplicate.release());
  loop_ = &loop;
  cancels_ = &cancels;
  rung_.parked = this;
  try {
    if (completes.try_now(rung_)) {
      wake();
    } else {
      completes.park(rung_);
    }
  } catch (...) {
    stop_listening(completes);
    throw;
  }
}

void interrupt_watch::stop_listening(reactor& completes) noexcept {
  cancels_ = nullptr; // before close(), which may end the operation and so wake this
  completes.close(*rung_.descriptor);
}

void interrupt_watch::wake() noexcept {
  if (cancels_ != nullptr)
    static_cast<loop*>(loop_)->enqueue(*this);
}

void interrupt_watch::run_ready() noexcept {
  if (cancels_ == nullptr)
    return;
  seen_ = true;
  cancels_->cancel();
}

interrupt_scope::interrupt_scope(interrupt_watch& watch)
    : watch_(watch), context_(root_context::current_or_throw()), scope_(&context_.scope()) {
  watch_.listen(context_.owner(), *loop::current().reactor(), scope_);
  scope_.enter(context_);
}

bool interrupt_scope::leave() noexcept {
  if (!inside_)
    return false;
  inside_ = false;
  watch_.stop_listening(*static_cast<loop&>(context_.owner()).reactor());
  scope_.leave(context_);
  return scope_.cancel_requested() && !context_.cancellation_due();
}

void throw_interrupted() {
  static const bool installed = [] {
    previous_terminate_handler = std::set_terminate(&end_program);
    return true;
  }();
  static_cast<void>(installed);
  throw interrupted(SIGINT);
}

} // namespace fourfold::detail
