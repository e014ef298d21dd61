// B05, Boost.Asio: a timer object each, async_wait with a handler. A cancelled one calls its handler as well,
// so that is part of cancelling.
#include "../support/timers.hpp"
#include "asio_loop.hpp"

#include <chrono>
#include <cstddef>
#include <vector>

namespace {

using namespace asio_loop;

class asio_timers {
 public:
  explicit asio_timers(std::size_t count) { all_.reserve(count); }

  void arm(const std::vector<std::chrono::nanoseconds>& ends) {
    const auto now = measure::clock::now();
    for (const auto end : ends)
      all_.emplace_back(loop_.get_executor(), now + end)
          .async_wait([this](boost::system::error_code failure) { ++(failure ? cancelled_ : fired_); });
  }
  void fire() { loop_.run(); }
  void cancel() {
    for (timer& one : all_)
      one.cancel();
    loop_.run();
  }
  [[nodiscard]] std::size_t fired() const { return fired_; }
  [[nodiscard]] std::size_t cancelled() const { return cancelled_; }

 private:
  context loop_;
  std::vector<timer> all_;
  std::size_t fired_ = 0;
  std::size_t cancelled_ = 0;
};

} // namespace

int main(int argc, char** argv) { timers::run<asio_timers>(argc, argv); }
