#include <fourfold/fourfold.hpp>

#include <cstdint>
#include <cstdio>
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

  auto a = co_await count_later(10'000);                  // on this loop
  auto b = co_await threads.submit(count_primes, 20'000); // on another thread
  auto c =
      co_await processes.submit(count_primes, 30'000); // in another process: a crash there is an error here
  auto d = co_await processes.submit(count_later, 40'000); // the hybrid: on the loop of another process

  std::vector<std::uint64_t> limits(100, 1'000); // a hundred inputs, all waiting at once, results in order
  auto e = co_await fourfold::timeout(5s, fourfold::gather(count_later(50'000), count_later(60'000)));
  for (std::uint64_t one : co_await fourfold::map(processes, count_later, limits))
    a += one;
  co_return a + b + c + d + std::get<0>(e) + std::get<1>(e);
}

int main() {
  const std::uint64_t primes = fourfold::run(tour());
  std::printf("%ju primes\n", static_cast<std::uintmax_t>(primes));
  return primes == 0 ? 1 : 0;
}
