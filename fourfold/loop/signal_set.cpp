#include <fourfold/base/errors.hpp>
#include <fourfold/base/misuse.hpp>
#include <fourfold/loop/detail/signal_slot.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/signal_set.hpp>

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <system_error>

namespace fourfold {
namespace {

/// What keeps a signal from being taken, or null.
const char* objection(int number) {
  if (number < 1 || number > SIGRTMAX)
    return "there is no such signal";
  switch (number) {
  case SIGKILL:
  case SIGSTOP: return "no process can take it";
  case SIGSEGV:
  case SIGBUS:
  case SIGFPE:
  case SIGILL:
  case SIGTRAP:
  case SIGSYS: return "it says that an instruction has failed, which cannot be handled later";
  default: break;
  }
  // Between the standard signals and the first real-time signal that it hands out.
  if (number > SIGSYS && number < SIGRTMIN)
    return "the C library keeps it for itself";
  return nullptr;
}

detail::signal_mask mask_of(std::initializer_list<int> numbers) {
  if (numbers.size() == 0)
    throw error("signal_set: no signal is named");
  detail::signal_mask mask = 0;
  for (const int number : numbers) {
    if (const char* reason = objection(number)) {
      const char* name = number > 0 ? ::sigabbrev_np(number) : nullptr;
      throw error("signal_set: signal " + std::to_string(number) +
                  (name != nullptr ? " (SIG" + std::string(name) + ")" : std::string()) + ": " + reason);
    }
    mask |= detail::signal_bit(number);
  }
  return mask;
}

int new_bell() {
  const int bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (bell < 0)
    throw std::system_error(errno, std::generic_category(), "eventfd");
  return bell;
}

} // namespace

signal_set::signal_set(std::initializer_list<int> numbers) : owner_(&loop::current()) {
  const detail::signal_mask wanted = mask_of(numbers);
  bell_ = async_descriptor(new_bell());
  slot_ = &detail::signal_slot::open(detail::signal_slot::role::set, wanted, bell_.native_handle());
}

signal_set::~signal_set() {
  if (awaited_)
    misuse("a signal set was destroyed while a task waits for its signals");
  slot_->close();
}

task<int> signal_set::next() {
  if (&loop::current() != owner_)
    throw wrong_thread("signal_set: it belongs to another loop");
  if (awaited_)
    throw error("signal_set: another task already waits for its signals");
  if (coroutine_context::current_or_throw().cancellation_due())
    throw_cancelled();
  awaited_ = true;
  const struct waiting_ends {
    bool& awaited;
    ~waiting_ends() { awaited = false; }
  } end{awaited_};
  for (;;) {
    if (const int number = slot_->take())
      co_return number;
    co_await bell_.readable();
    // Before the slot is looked at again: what comes after this look rings again.
    std::uint64_t rings = 0;
    [[maybe_unused]] const ssize_t got = ::read(bell_.native_handle(), &rings, sizeof rings);
  }
}

} // namespace fourfold
