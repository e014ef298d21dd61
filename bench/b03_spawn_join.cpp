// B03: what does it cost to spawn a child into a group and join it? A group holds 1000 children.
#include "support/measure.hpp"

#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/task_group.hpp>

#include <cstdint>

namespace {

constexpr std::uint64_t children = 1000;

fourfold::task<void> child(std::uint64_t* ran) {
  ++*ran;
  co_return;
}

fourfold::task<void> spawn_all(fourfold::task_group& group, std::uint64_t* ran) {
  for (std::uint64_t i = 0; i < children; ++i)
    group.spawn(child(ran));
  co_return;
}

fourfold::task<void> groups(std::uint64_t count, std::uint64_t* ran) {
  for (std::uint64_t i = 0; i < count; ++i) {
    auto body = [ran](fourfold::task_group& group) { return spawn_all(group, ran); };
    co_await fourfold::with_task_group(body);
    measure::require(*ran == (i + 1) * children, "a group was left before its children had run");
  }
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  const double ns = measure::nanoseconds_per_unit(
      options.seconds,
      [](std::uint64_t count) {
        std::uint64_t ran = 0;
        fourfold::run(groups(count / children, &ran));
        measure::require(ran == count, "not every child ran");
      },
      children);
  measure::print({{"ns", ns}});
}
