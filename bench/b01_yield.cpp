// B01: what does one yield through the loop cost, with 200 tasks taking turns?
#include "support/measure.hpp"

#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/task_group.hpp>

#include <cstdint>

namespace {

constexpr std::uint64_t tasks = 200;

fourfold::task<void> take_turns(std::uint64_t turns, std::uint64_t* taken) {
  for (std::uint64_t i = 0; i < turns; ++i) {
    co_await fourfold::yield();
    ++*taken;
  }
}

fourfold::task<void> spawn_all(fourfold::task_group& group, std::uint64_t turns, std::uint64_t* taken) {
  for (std::uint64_t i = 0; i < tasks; ++i)
    group.spawn(take_turns(turns, taken));
  co_return;
}

fourfold::task<void> all_turns(std::uint64_t turns, std::uint64_t* taken) {
  auto body = [turns, taken](fourfold::task_group& group) { return spawn_all(group, turns, taken); };
  co_await fourfold::with_task_group(body);
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  const double ns = measure::nanoseconds_per_unit(
      options.seconds,
      [](std::uint64_t count) {
        std::uint64_t taken = 0;
        fourfold::run(all_turns(count / tasks, &taken));
        measure::require(taken == count, "not every task took every turn");
      },
      tasks);
  measure::print({{"ns", ns}});
}
