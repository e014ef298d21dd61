// B13, the limit: copying messages through a ring in shared memory, one producer, one consumer, both spinning
// for ever, no lock, no end, no death.
#include "one_way.hpp"

#include <atomic>

namespace {

class mechanism {
 public:
  void send(const one_way::message& next) {
    const std::uint64_t place = written_.load(std::memory_order_relaxed);
    while (place - seen_read_ == slots_.size())
      seen_read_ = read_.load(std::memory_order_acquire);
    slots_[place % slots_.size()] = next;
    written_.store(place + 1, std::memory_order_release);
  }
  [[nodiscard]] one_way::message receive() {
    const std::uint64_t place = read_.load(std::memory_order_relaxed);
    while (place == seen_written_)
      seen_written_ = written_.load(std::memory_order_acquire);
    const one_way::message next = slots_[place % slots_.size()];
    read_.store(place + 1, std::memory_order_release);
    return next;
  }

 private:
  alignas(64) std::atomic<std::uint64_t> written_{0};
  std::uint64_t seen_read_ = 0;
  alignas(64) std::atomic<std::uint64_t> read_{0};
  std::uint64_t seen_written_ = 0;
  alignas(64) std::array<one_way::message, 4096> slots_{};
};

} // namespace

int main(int argc, char** argv) { return one_way::run<mechanism>(argc, argv); }
