// B09: what does it cost to fork and join? fib(30) without a cut-off, a tree of a million leaves, and a loop over ten
// million elements; on as many threads as there are CPUs, the caller being one.
#include "support/fork_join.hpp"

#include <fourfold/thread/parallel_for.hpp>
#include <fourfold/thread/parallel_invoke.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace {

std::uint64_t fib(fourfold::thread_pool& pool, unsigned n) {
  if (n < 2)
    return n;
  std::uint64_t one = 0;
  std::uint64_t other = 0;
  fourfold::parallel_invoke(pool, [&] { one = fib(pool, n - 1); }, [&] { other = fib(pool, n - 2); });
  return one + other;
}

std::uint64_t skynet(fourfold::thread_pool& pool, std::uint64_t number, std::uint64_t leaves) {
  if (leaves == 1)
    return number;
  std::array<std::uint64_t, fork_join::skynet_children> sums{};
  const std::uint64_t each = leaves / fork_join::skynet_children;
  const auto fork = [&]<std::size_t... I>(std::index_sequence<I...>) {
    fourfold::parallel_invoke(pool, [&] { sums[I] = skynet(pool, number + I * each, each); }...);
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
  fourfold::thread_pool pool({.threads = static_cast<unsigned>(options.cpus.size())});
  fork_join::measure_and_print(
      options, [&] { return fib(pool, fork_join::fib_of); },
      [&] { return skynet(pool, 0, fork_join::skynet_leaves); },
      [&](std::vector<std::uint32_t>& values) {
        fourfold::parallel_for(pool, values, [](std::uint32_t& value) { fork_join::tiny_body(value); });
      });
}
