// B10: a pipe for each direction, eight bytes a message.
#include "ping_pong.hpp"

#include <cstdint>

#include <unistd.h>

namespace {

class mechanism {
 public:
  explicit mechanism(bool spin) {
    if (spin)
      measure::fail("a pipe cannot spin");
    if (pipe(there_) != 0 || pipe(back_) != 0)
      measure::fail("pipe failed");
  }

  std::uint64_t call(std::uint64_t value) {
    send(there_[1], value);
    return receive(back_[0]);
  }

  void serve() {
    for (;;) {
      const std::uint64_t value = receive(there_[0]);
      send(back_[1], value + 1);
      if (value == ping_pong::stop)
        return;
    }
  }

 private:
  static void send(int file, std::uint64_t value) {
    if (write(file, &value, sizeof value) != sizeof value)
      measure::fail("write to the pipe failed");
  }

  static std::uint64_t receive(int file) {
    std::uint64_t value = 0;
    if (read(file, &value, sizeof value) != sizeof value)
      measure::fail("read from the pipe failed");
    return value;
  }

  int there_[2];
  int back_[2];
};

} // namespace

int main(int argc, char** argv) { return ping_pong::run<mechanism>(argc, argv); }
