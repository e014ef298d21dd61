#include <fourfold/process/detail/cancellation_listener.hpp>
#include <fourfold/process/detail/fault_point.hpp>
#include <fourfold/process/detail/shared_futex.hpp>

#include <pthread.h>
#include <signal.h>

namespace fourfold::detail {
namespace {

// What it runs are callbacks that wake somebody.
constexpr std::size_t stack_bytes = std::size_t{256} * 1024;

} // namespace

cancellation_listener::running::running(cancellation_listener& listener, std::uint64_t number)
    : listener_(listener), scope_(source_.token()) {
  if (!listener_.started_)
    listener_.start();
  const std::lock_guard guard(listener_.mutex_);
  listener_.source_ = &source_;
  listener_.number_ = number;
  listener_.look(); // the pool may have been quicker than we
}

cancellation_listener::running::~running() {
  const std::lock_guard guard(listener_.mutex_);
  listener_.source_ = nullptr;
}

void cancellation_listener::start() {
  started_ = true;
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) {
    header_.deaf.store(1);
    return;
  }
  ::pthread_attr_setstacksize(&attributes, stack_bytes);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // Signals are for the function's thread.
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &previous);
  pthread_t thread{};
  const int failed = ::pthread_create(
      &thread, &attributes, [](void* self) -> void* { static_cast<cancellation_listener*>(self)->listen(); },
      this);
  ::pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  ::pthread_attr_destroy(&attributes);
  if (failed != 0)
    header_.deaf.store(1);
}

void cancellation_listener::listen() {
  for (;;) {
    const std::uint32_t seen = header_.tellings.load();
    {
      const std::lock_guard guard(mutex_);
      look();
    }
    shared_futex_wait(header_.tellings, seen);
  }
}

void cancellation_listener::look() noexcept {
  if (source_ == nullptr || header_.told.load() != number_ + 1)
    return;
  fault_point(fault_step::worker_was_told);
  source_->request_cancellation();
}

} // namespace fourfold::detail
