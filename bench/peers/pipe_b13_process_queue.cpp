// B13: a pipe, one write and one read a message.
#include "one_way.hpp"

namespace {

class mechanism {
 public:
  mechanism() {
    if (pipe(ends_.data()) != 0)
      measure::fail("pipe failed");
  }
  void send(const one_way::message& next) const {
    if (write(ends_[1], &next, sizeof next) != sizeof next)
      measure::fail("write to the pipe failed");
  }
  [[nodiscard]] one_way::message receive() const {
    one_way::message next{};
    if (read(ends_[0], &next, sizeof next) != sizeof next)
      measure::fail("read from the pipe failed");
    return next;
  }

 private:
  std::array<int, 2> ends_{};
};

} // namespace

int main(int argc, char** argv) { return one_way::run<mechanism>(argc, argv); }
