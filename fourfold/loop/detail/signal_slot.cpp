#include <fourfold/loop/detail/signal_slot.hpp>

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <memory>
#include <mutex>
#include <system_error>

namespace fourfold::detail {

/// What the process's signals do while slots want them. The handler takes no lock and allocates nothing.
class signal_registry {
 public:
  static signal_slot& open(signal_slot::role plays, signal_mask wanted, int bell);
  static bool close(signal_slot& slot) noexcept;

 private:
  static signal_slot& unused_slot();
  static void install(int number);
  static void stop_wanting(signal_slot& slot, signal_mask installed) noexcept;
  static bool is_ours(const struct sigaction& action) noexcept;

  static void handle(int number, siginfo_t*, void*) noexcept;
  static bool offer(signal_slot::role to, int number) noexcept;
  static void deliver(signal_slot& slot, int number) noexcept;
  static bool wanted_here(int number) noexcept;
  static void pass_on(int number) noexcept;

  static constinit inline std::mutex lock_; // guards all but what the handler reads
  static constinit inline std::atomic<signal_slot*> slots_{nullptr};
  static constinit inline std::array<unsigned, last_signal + 1> users_{};
  /// What stood before the first user came; also read in a forked child's handler.
  static constinit inline std::array<struct sigaction, last_signal + 1> previous_{};
};

signal_slot& signal_registry::open(signal_slot::role plays, signal_mask wanted, int bell) {
  const std::lock_guard guard(lock_);
  signal_slot& slot = unused_slot();
  slot.plays_ = plays;
  slot.bell_ = bell;
  slot.owner_ = ::getpid();
  for (auto& count : slot.arrived_)
    count.store(0, std::memory_order_relaxed); // published by wanted_
  // Before the handler is installed, which must find somebody to give the signal to.
  slot.wanted_.store(wanted);
  signal_mask installed = 0;
  try {
    for (signal_mask rest = wanted; rest != 0; rest &= rest - 1) {
      install(std::countr_zero(rest) + 1);
      installed |= rest & -rest;
    }
  } catch (...) {
    stop_wanting(slot, installed);
    throw;
  }
  slot.open_ = true;
  return slot;
}

bool signal_registry::close(signal_slot& slot) noexcept {
  const std::lock_guard guard(lock_);
  stop_wanting(slot, slot.wanted_.load());
  slot.open_ = false;
  // Relaxed: whoever counted has left the slot.
  return std::ranges::any_of(slot.arrived_, [](auto& n) { return n.load(std::memory_order_relaxed) != 0; });
}

signal_slot& signal_registry::unused_slot() {
  // Relaxed: only this function writes it, under the lock.
  signal_slot* const first = slots_.load(std::memory_order_relaxed);
  for (signal_slot* slot = first; slot != nullptr; slot = slot->next_) {
    if (!slot->open_)
      return *slot;
  }
  auto* const made = new signal_slot; // stays reachable through the list for ever
  made->next_ = first;
  // Release: pairs with the acquire in the handler's walks.
  slots_.store(made, std::memory_order_release);
  return *made;
}

void signal_registry::install(int number) {
  const auto n = static_cast<std::size_t>(number);
  struct sigaction now{};
  if (::sigaction(number, nullptr, &now) != 0)
    throw std::system_error(errno, std::generic_category(), "sigaction");
  // Ours also without users, when somebody who had put a handler over it has put it back too late.
  if (!is_ours(now)) {
    struct sigaction ours{};
    ours.sa_sigaction = &handle;
    // On the alternate stack, for threads that have one because their own is small.
    ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    ::sigfillset(&ours.sa_mask);
    previous_[n] = now;
    if (::sigaction(number, &ours, nullptr) != 0)
      throw std::system_error(errno, std::generic_category(), "sigaction");
  }
  ++users_[n];
}

void signal_registry::stop_wanting(signal_slot& slot, signal_mask installed) noexcept {
  for (signal_mask rest = installed; rest != 0; rest &= rest - 1) {
    const int number = std::countr_zero(rest) + 1;
    const auto n = static_cast<std::size_t>(number);
    if (--users_[n] != 0)
      continue;
    struct sigaction now{};
    // If somebody has put a handler of his own over ours, that one stays.
    if (::sigaction(number, nullptr, &now) == 0 && is_ours(now))
      ::sigaction(number, &previous_[n], nullptr);
  }
  // After the dispositions: a handler that finds nothing wanted raises the signal again.
  slot.wanted_.store(0);
  // One on this thread has ended before this went on; one on another thread takes a microsecond.
  while (slot.handlers_inside_.load() != 0)
    ::sched_yield();
}

bool signal_registry::is_ours(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == &handle;
}

void signal_registry::handle(int number, siginfo_t*, void*) noexcept {
  const int interrupted_errno = errno;
  if (!offer(signal_slot::role::set, number) && !offer(signal_slot::role::interrupt, number))
    pass_on(number);
  errno = interrupted_errno;
}

bool signal_registry::offer(signal_slot::role to, int number) noexcept {
  bool taken = false;
  // Acquire: pairs with the release in unused_slot().
  for (signal_slot* slot = slots_.load(std::memory_order_acquire); slot != nullptr; slot = slot->next_) {
    slot->handlers_inside_.fetch_add(1);
    if ((slot->wanted_.load() & signal_bit(number)) != 0 && slot->plays_ == to &&
        slot->owner_ == ::getpid()) {
      deliver(*slot, number);
      taken = true;
    }
    // Release: pairs with the load in stop_wanting(); the bell was rung before.
    slot->handlers_inside_.fetch_sub(1, std::memory_order_release);
  }
  return taken;
}

void signal_registry::deliver(signal_slot& slot, int number) noexcept {
  // Release: pairs with the acquire in take(); what the sender did before is seen by the receiver.
  const std::uint32_t before =
      slot.arrived_[static_cast<std::size_t>(number)].fetch_add(1, std::memory_order_release);
  if (slot.plays_ == signal_slot::role::interrupt && before != 0)
    die_by(number);
  const std::uint64_t one = 1;
  // Fails only for a counter at its maximum, which rings as well.
  [[maybe_unused]] const ssize_t written = ::write(slot.bell_, &one, sizeof one);
}

bool signal_registry::wanted_here(int number) noexcept {
  for (signal_slot* slot = slots_.load(std::memory_order_acquire); slot != nullptr; slot = slot->next_) {
    slot->handlers_inside_.fetch_add(1);
    const bool wanted = (slot->wanted_.load() & signal_bit(number)) != 0 && slot->owner_ == ::getpid();
    slot->handlers_inside_.fetch_sub(1, std::memory_order_release);
    if (wanted)
      return true;
  }
  return false;
}

/// Nobody wanted it, for one of these reasons: the last slot was closed while the signal was on its way to
/// the handler; this is a forked child, and the slots are its parent's; a handler that was installed over
/// ours has called it, or has put it back after the last slot had closed. All signals are blocked now, so
/// what is raised takes effect when the handler has returned.
void signal_registry::pass_on(int number) noexcept {
  struct sigaction now{};
  if (::sigaction(number, nullptr, &now) != 0)
    return;
  if (is_ours(now)) {
    if (!wanted_here(number))
      ::sigaction(number, &previous_[static_cast<std::size_t>(number)], nullptr);
  } else if ((now.sa_flags & SA_SIGINFO) != 0 || (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN)) {
    return; // the handler that has called this one, perhaps: to raise the signal again would never end
  }
  ::raise(number);
}

signal_slot& signal_slot::open(role plays, signal_mask wanted, int bell) {
  return signal_registry::open(plays, wanted, bell);
}

bool signal_slot::close() noexcept { return signal_registry::close(*this); }

int signal_slot::take() noexcept {
  // Only the numbers that are wanted can have arrived.
  for (signal_mask rest = wanted_.load(std::memory_order_relaxed); rest != 0; rest &= rest - 1) {
    const int number = std::countr_zero(rest) + 1;
    auto& count = arrived_[static_cast<std::size_t>(number)];
    // Acquire, below: pairs with the release in deliver().
    if (count.load(std::memory_order_relaxed) == 0)
      continue;
    if (number < SIGRTMIN)
      count.exchange(0, std::memory_order_acquire);
    else
      count.fetch_sub(1, std::memory_order_acquire);
    return number;
  }
  return 0;
}

bool has_default_disposition(int number) noexcept {
  struct sigaction now{};
  return ::sigaction(number, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
         now.sa_handler == SIG_DFL;
}

void die_by(int number) noexcept {
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  ::sigaction(number, &standard, nullptr);
  sigset_t only;
  ::sigemptyset(&only);
  ::sigaddset(&only, number);
  ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  ::raise(number);
  // Still here: the first process of a container, whom the kernel spares.
  ::_exit(128 + number);
}

} // namespace fourfold::detail
