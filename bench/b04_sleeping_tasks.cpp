// B04: how much memory does a task take that is asleep, when a million of them are?
#include "support/measure.hpp"

#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/task_group.hpp>

#include <chrono>
#include <cstdint>
#include <cstdlib>

namespace {

// A function of its own: its text takes no place in the frames.
[[noreturn]] void woke_up() { measure::fail("a sleeper woke up"); }

fourfold::task<void> sleeper(std::uint64_t i, std::uint64_t* asleep) {
  ++*asleep;
  // Different ends, so that no timer structure is flattered by a million equal keys.
  co_await fourfold::sleep(std::chrono::hours(1) + std::chrono::microseconds(i));
  woke_up();
}

fourfold::task<void> fill(fourfold::task_group& group, std::uint64_t count) {
  const std::uint64_t before = measure::resident_bytes();
  std::uint64_t asleep = 0;
  for (std::uint64_t i = 0; i < count; ++i)
    group.spawn(sleeper(i, &asleep));
  while (asleep < count)
    co_await fourfold::yield();
  co_await fourfold::yield();
  const std::uint64_t after = measure::resident_bytes();
  measure::print({{"bytes", static_cast<double>(after - before) / static_cast<double>(count)}});
  std::_Exit(0); // tearing a million tasks down is another question
}

fourfold::task<void> measured(std::uint64_t count) {
  auto body = [count](fourfold::task_group& group) { return fill(group, count); };
  co_await fourfold::with_task_group(body);
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  fourfold::run(measured(options.count != 0 ? options.count : 1'000'000));
}
