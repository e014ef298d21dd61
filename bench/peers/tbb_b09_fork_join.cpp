// B09, oneTBB: `parallel_invoke` for fib (measured faster than `task_group`, which allocates its tasks) and the tree;
// `parallel_for` over a `blocked_range` with the default partitioner, as its guide advises. One slot a CPU, the caller
// being one of them.
#include "../support/fork_join.hpp"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_invoke.h>
#include <oneapi/tbb/task_group.h>

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace {

namespace tbb = oneapi::tbb;

std::uint64_t fib(unsigned n) {
  if (n < 2)
    return n;
  std::uint64_t one = 0;
  std::uint64_t other = 0;
#ifdef BY_TASK_GROUP
  tbb::task_group group;
  group.run([&] { one = fib(n - 1); });
  other = fib(n - 2);
  group.wait();
#else
  tbb::parallel_invoke([&] { one = fib(n - 1); }, [&] { other = fib(n - 2); });
#endif
  return one + other;
}

std::uint64_t skynet(std::uint64_t number, std::uint64_t leaves) {
  if (leaves == 1)
    return number;
  std::array<std::uint64_t, fork_join::skynet_children> sums{};
  const std::uint64_t each = leaves / fork_join::skynet_children;
  const auto fork = [&]<std::size_t... I>(std::index_sequence<I...>) {
    tbb::parallel_invoke([&] { sums[I] = skynet(number + I * each, each); }...);
  };
  fork(std::make_index_sequence<fork_join::skynet_children>());
  std::uint64_t sum = 0;
  for (const std::uint64_t one : sums)
    sum += one;
  return sum;
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, options.cpus.size());
  fork_join::measure_and_print(
      options, [] { return fib(fork_join::fib_of); }, [] { return skynet(0, fork_join::skynet_leaves); },
      [](std::vector<std::uint32_t>& values) {
        tbb::parallel_for(tbb::blocked_range<std::size_t>(0, values.size()), [&](const auto& part) {
          for (std::size_t i = part.begin(); i != part.end(); ++i)
            fork_join::tiny_body(values[i]);
        });
      });
}
