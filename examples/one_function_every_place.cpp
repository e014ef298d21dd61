// One function, written once, with the place as an argument: this loop, threads, and other processes.
#include <fourfold/fourfold.hpp>

#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

std::uint64_t collatz_steps(std::uint64_t n) {
  std::uint64_t steps = 0;
  for (; n != 1; ++steps)
    n = n % 2 == 0 ? n / 2 : 3 * n + 1;
  return steps;
}

// The number below `limit` that needs the most steps. Where they are counted is the caller's choice.
template <fourfold::executor Place>
fourfold::task<std::uint64_t> longest(Place& place, std::uint64_t limit) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t n = 1; n < limit; ++n)
    numbers.push_back(n);
  std::uint64_t best = 0;
  std::uint64_t most = 0;
  auto results = fourfold::map_unordered(place, collatz_steps, numbers);
  while (const auto* one = co_await results.async_next()) {
    if (one->value > most) {
      most = one->value;
      best = numbers[one->index];
    }
  }
  co_return best;
}

fourfold::task<bool> program() {
  constexpr std::uint64_t limit = 20'000;
  constexpr std::uint64_t expected = 17'647;
  fourfold::thread_pool threads({.threads = 2});
  fourfold::process_pool processes({.workers = 2});

  const std::uint64_t here = co_await longest(fourfold::loop::current(), limit);
  const std::uint64_t beside = co_await longest(threads, limit);
  const std::uint64_t apart = co_await longest(processes, limit);
  std::printf("here %ju, on threads %ju, in processes %ju\n", static_cast<std::uintmax_t>(here),
              static_cast<std::uintmax_t>(beside), static_cast<std::uintmax_t>(apart));
  co_return here == expected&& beside == expected&& apart == expected;
}

} // namespace

int main() { return fourfold::run(program()) ? 0 : 1; }
