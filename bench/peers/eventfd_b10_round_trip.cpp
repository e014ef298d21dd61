// B10: the number in shared memory and an eventfd as the bell of each direction.
#include "ping_pong.hpp"

#include <cstdint>

#include <sys/eventfd.h>
#include <unistd.h>

namespace {

class mechanism {
 public:
  explicit mechanism(bool spin) {
    if (spin)
      measure::fail("an eventfd cannot spin");
    there_ = eventfd(0, 0);
    back_ = eventfd(0, 0);
    if (there_ < 0 || back_ < 0)
      measure::fail("eventfd failed");
  }

  std::uint64_t call(std::uint64_t value) {
    value_ = value;
    ring(there_);
    wait(back_);
    return value_;
  }

  void serve() {
    for (;;) {
      wait(there_);
      const std::uint64_t value = value_;
      value_ = value + 1;
      ring(back_);
      if (value == ping_pong::stop)
        return;
    }
  }

 private:
  static void ring(int bell) {
    const std::uint64_t one = 1;
    if (write(bell, &one, sizeof one) != sizeof one)
      measure::fail("write to the eventfd failed");
  }

  static void wait(int bell) {
    std::uint64_t count = 0;
    if (read(bell, &count, sizeof count) != sizeof count)
      measure::fail("read from the eventfd failed");
  }

  // Ordered by the system calls around it: one side owns it at a time.
  std::uint64_t volatile value_ = 0;
  int there_ = -1;
  int back_ = -1;
};

} // namespace

int main(int argc, char** argv) { return ping_pong::run<mechanism>(argc, argv); }
