// B04, Boost.Asio: a million coroutines, each with a timer of its own in its frame.
#include "../support/measure.hpp"
#include "asio_loop.hpp"

#include <chrono>
#include <cstdint>
#include <cstdlib>

namespace {

using namespace asio_loop;

// A function of its own: its text takes no place in the frames.
[[noreturn]] void woke_up() { measure::fail("a sleeper woke up"); }

awaitable<> sleeper(executor where, std::uint64_t i, std::uint64_t* asleep) {
  timer alarm(where, std::chrono::hours(1) + std::chrono::microseconds(i));
  ++*asleep;
  co_await alarm.async_wait(use_awaitable);
  woke_up();
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  const std::uint64_t count = options.count != 0 ? options.count : 1'000'000;

  context loop;
  std::uint64_t asleep = 0;
  const std::uint64_t before = measure::resident_bytes();
  for (std::uint64_t i = 0; i < count; ++i) {
    asio::co_spawn(loop.get_executor(), sleeper(loop.get_executor(), i, &asleep), asio::detached);
    if (i % 1000 == 999)
      loop.poll(); // what has not started yet would be counted twice
  }
  loop.poll();
  measure::require(asleep == count, "not every task is asleep");
  const std::uint64_t after = measure::resident_bytes();
  measure::print({{"bytes", static_cast<double>(after - before) / static_cast<double>(count)}});
  std::_Exit(0); // tearing a million tasks down is another question
}
