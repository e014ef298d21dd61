#include <fourfold/fourfold.hpp>

#include <cstdint>
#include <cstdio>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

std::uint64_t count_primes(std::uint64_t limit) { // any function
  std::uint64_t count = 0;
  for (std::uint64_t n = 2; n <= limit; ++n) {
    std::uint64_t d = 2;
    while (d * d <= n && n % d != 0)
      ++d;
    count += d * d > n ? 1 : 0;
  }
  return count;
}

fourfold::task<std::uint64_t> count_later(std::uint64_t limit) { // any coroutine function
  co_await fourfold::sleep(50ms);                                // it could wait for a network instead
  co_return count_primes(limit);
}

fourfold::task<std::uint64_t> tour() {
  fourfold::thread_pool threads;
  fourfold::process_pool processes({.workers = 2});

  auto here = co_await count_later(10'000);                     // this loop
  auto thread = co_await threads.submit(count_primes, 20'000);  // another thread
  auto apart = co_await processes.submit(count_primes, 30'000); // another process: its crash is an error here
  auto hybrid = co_await processes.submit(count_later, 40'000); // a coroutine on that process's loop

  auto pair = fourfold::gather(count_later(50'000), count_later(60'000)); // both at once
  auto [fifth, sixth] = co_await fourfold::timeout(5s, std::move(pair));  // cancelled if it takes longer

  std::uint64_t sum = here + thread + apart + hybrid + fifth + sixth;
  const std::vector<std::uint64_t> limits(100, 1'000);
  for (auto count : co_await fourfold::map(processes, count_later, limits)) // a hundred, in order
    sum += count;
  co_return sum;
}

int main() {
  const auto primes = fourfold::run(tour());
  std::printf("%ju primes\n", static_cast<std::uintmax_t>(primes));
  return primes == 38'929 ? 0 : 1;
}
