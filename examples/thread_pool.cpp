// A thread pool: calls, waiting inside of a call, exceptions, and map.
#include <fourfold/fourfold.hpp>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace {

// Submits the left half and waits for it, which is safe however deep it goes: a wait for a call that nobody
// has begun runs that call.
std::uint64_t sum_of_squares(fourfold::thread_pool& pool, std::uint64_t first, std::uint64_t last) {
  if (last - first < 1'000) {
    std::uint64_t sum = 0;
    for (std::uint64_t i = first; i <= last; ++i)
      sum += i * i;
    return sum;
  }
  const std::uint64_t middle = first + (last - first) / 2;
  auto left = pool.submit(sum_of_squares, std::ref(pool), first, middle);
  const std::uint64_t right = sum_of_squares(pool, middle + 1, last);
  return left.get() + right;
}

int parse(int input) {
  if (input == 13)
    throw std::invalid_argument("13 is not a number that I like");
  return input;
}

} // namespace

int main() {
  fourfold::thread_pool pool({.threads = 2, .name = "example"});

  const auto sum = pool.submit(sum_of_squares, std::ref(pool), 1, 1'000'000).get();
  std::printf("sum of squares up to a million: %ju\n", static_cast<std::uintmax_t>(sum));

  std::vector<int> inputs(12);
  std::iota(inputs.begin(), inputs.end(), 1);
  const std::vector<int> outputs = fourfold::map(pool, parse, inputs).get();
  std::printf("map: %zu results, in the order of the inputs: %s\n", outputs.size(),
              outputs == inputs ? "yes" : "no");

  bool thrown = false;
  try {
    pool.submit(parse, 13).get();
  } catch (const std::invalid_argument& e) {
    thrown = true;
    std::printf("an exception arrives with its type: %s\n", e.what());
  }
  return sum == 333'333'833'333'500'000 && outputs == inputs && thrown ? 0 : 1;
}
