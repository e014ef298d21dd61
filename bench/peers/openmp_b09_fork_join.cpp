// B09, OpenMP (GCC's libgomp): a task for the first half of fib, none for the second, as in its Examples; a task a child
// in the tree; `parallel for` with the static schedule. One thread a CPU.
#include "../support/fork_join.hpp"

#include <omp.h>

#include <array>
#include <cstdint>
#include <vector>

namespace {

std::uint64_t fib(unsigned n) {
  if (n < 2)
    return n;
  std::uint64_t one = 0;
  std::uint64_t other = 0;
#pragma omp task shared(one) firstprivate(n)
  one = fib(n - 1);
  other = fib(n - 2);
#pragma omp taskwait
  return one + other;
}

std::uint64_t skynet(std::uint64_t number, std::uint64_t leaves) {
  if (leaves == 1)
    return number;
  std::array<std::uint64_t, fork_join::skynet_children> sums{};
  const std::uint64_t each = leaves / fork_join::skynet_children;
  for (std::uint64_t i = 0; i < fork_join::skynet_children; ++i) {
#pragma omp task shared(sums) firstprivate(i, number, each)
    sums[i] = skynet(number + i * each, each);
  }
#pragma omp taskwait
  std::uint64_t sum = 0;
  for (const std::uint64_t one : sums)
    sum += one;
  return sum;
}

template <class F>
std::uint64_t on_the_team(F f) {
  std::uint64_t result = 0;
#pragma omp parallel
#pragma omp single
  result = f();
  return result;
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  omp_set_num_threads(static_cast<int>(options.cpus.size()));
  fork_join::measure_and_print(
      options, [] { return on_the_team([] { return fib(fork_join::fib_of); }); },
      [] { return on_the_team([] { return skynet(0, fork_join::skynet_leaves); }); },
      [](std::vector<std::uint32_t>& values) {
        const std::size_t size = values.size();
#pragma omp parallel for schedule(static)
        for (std::size_t i = 0; i < size; ++i)
          fork_join::tiny_body(values[i]);
      });
}
