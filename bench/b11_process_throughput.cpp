// B11: how many calls of a no-op a second does the process pool take, and how many tiny items does map carry?
#include "support/measure.hpp"

#include <fourfold/place/map.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/future.hpp>

#include <cstdint>
#include <numeric>
#include <vector>

namespace {

constexpr std::int64_t items = 1'000'000;

std::int64_t next(std::int64_t value) { return value + 1; }

double submits_per_second(fourfold::process_pool& pool, std::uint64_t count) {
  std::vector<fourfold::future<std::int64_t>> futures;
  futures.reserve(count);
  const auto start = measure::clock::now();
  for (std::uint64_t i = 0; i < count; ++i)
    futures.push_back(pool.submit(next, static_cast<std::int64_t>(i)));
  std::int64_t sum = 0;
  for (auto& future : futures)
    sum += future.get();
  const double elapsed = measure::nanoseconds_since(start);
  const auto n = static_cast<std::int64_t>(count);
  measure::require(sum == n * (n + 1) / 2, "a call was lost");
  return static_cast<double>(count) * 1e9 / elapsed;
}

double items_per_second(fourfold::process_pool& pool) {
  std::vector<std::int64_t> inputs(items);
  std::iota(inputs.begin(), inputs.end(), std::int64_t{0});
  const auto start = measure::clock::now();
  const std::vector<std::int64_t> results = fourfold::map(pool, next, inputs).get();
  const double elapsed = measure::nanoseconds_since(start);
  measure::require(results.size() == inputs.size(), "map returned another number of results");
  for (std::size_t i = 0; i < results.size(); ++i)
    measure::require(results[i] == inputs[i] + 1, "map is out of order");
  return static_cast<double>(items) * 1e9 / elapsed;
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  fourfold::process_pool pool({.workers = static_cast<unsigned>(options.cpus.size())});
  submits_per_second(pool, 1000); // the workers are there and warm
  const double submits = submits_per_second(pool, options.count != 0 ? options.count : 100'000);
  const double mapped = items_per_second(pool);
  measure::print({{"submits", submits}, {"items", mapped}});
}
