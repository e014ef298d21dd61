// B10, the floor: a number in shared memory and a futex for each direction. Spinning, it never enters the
// kernel.
#include "ping_pong.hpp"

#include <atomic>
#include <cstdint>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

// One direction. `turn` counts the messages; the value is published by it (release) and read after it
// (acquire).
struct alignas(64) channel {
  std::atomic<std::uint32_t> turn{0};
  std::uint64_t value = 0;

  void send(std::uint64_t new_value, bool spin) {
    value = new_value;
    turn.store(turn.load(std::memory_order_relaxed) + 1, std::memory_order_release); // pairs with receive
    if (!spin)
      syscall(SYS_futex, &turn, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }

  std::uint64_t receive(std::uint32_t seen, bool spin) {
    while (turn.load(std::memory_order_acquire) == seen) { // pairs with send
      if (spin) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      } else {
        syscall(SYS_futex, &turn, FUTEX_WAIT, seen, nullptr, nullptr, 0);
      }
    }
    return value;
  }
};

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t),
              "the futex word is the atomic itself");

class mechanism {
 public:
  explicit mechanism(bool spin) : spin_(spin) {}

  std::uint64_t call(std::uint64_t value) {
    const std::uint32_t seen = back_.turn.load(std::memory_order_relaxed);
    there_.send(value, spin_);
    return back_.receive(seen, spin_);
  }

  void serve() {
    for (std::uint32_t seen = 0;; ++seen) {
      const std::uint64_t value = there_.receive(seen, spin_);
      back_.send(value + 1, spin_);
      if (value == ping_pong::stop)
        return;
    }
  }

 private:
  channel there_;
  channel back_;
  bool spin_;
};

} // namespace

int main(int argc, char** argv) { return ping_pong::run<mechanism>(argc, argv); }
