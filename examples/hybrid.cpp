// Processes and coroutines together: 4 chunks of numbers, 2 processes, 3 coroutines for each chunk. Each
// coroutine waits and then sums the squares of its chunk. Waits of one chunk overlap in the loop of its
// process, chunks run in two processes: two waits one after the other, where one process without coroutines
// would need twelve.
#include <fourfold/fourfold.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

constexpr auto wait = 100ms; // for a network, say

struct chunk { // an aggregate travels to another process without a line of code
  std::uint64_t first;
  std::uint64_t last;
};

fourfold::task<std::uint64_t> part(chunk numbers) {
  co_await fourfold::sleep(wait);
  std::uint64_t sum = 0;
  for (std::uint64_t i = numbers.first; i <= numbers.last; ++i)
    sum += i * i;
  co_return sum;
}

fourfold::task<std::uint64_t> whole(chunk numbers) {
  auto parts = fourfold::gather(part(numbers), part(numbers), part(numbers));
  const auto [a, b, c] = co_await std::move(parts);
  co_return a + b + c;
}

} // namespace

int main() {
  fourfold::process_pool pool({.workers = 2, .coroutines_per_worker = 1});
  const std::vector<chunk> chunks{{1, 1000}, {1001, 2000}, {2001, 3000}, {3001, 4000}};

  const auto begin = fourfold::clock::now();
  const std::vector<std::uint64_t> sums = fourfold::map(pool, whole, chunks).get();
  const auto took = std::chrono::duration<double>(fourfold::clock::now() - begin);

  const auto total = std::accumulate(sums.begin(), sums.end(), std::uint64_t{0});
  std::printf("total %ju in %.2f s\n", static_cast<std::uintmax_t>(total), took.count());
  return total == 64'024'002'000 ? 0 : 1;
}
