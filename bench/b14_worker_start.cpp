// B14: how long until a pool of two has run its first task, and how long until the next worker serves when one has ended?
// Places: template (there already, as from the second pool on), first (the template is started, too), fresh execution.
#include "support/measure.hpp"

#include <fourfold/base/errors.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/process/worker_template.hpp>
#include <fourfold/sync/future.hpp>

#include <cstdint>
#include <optional>
#include <vector>

#include <unistd.h>

namespace {

std::uint64_t next(std::uint64_t value) { return value + 1; }
void leave() { ::_exit(0); }

fourfold::process_pool_options pool_options(const std::string& place, unsigned workers) {
  fourfold::process_pool_options result;
  result.workers = workers;
  result.start =
      place == "fresh" ? fourfold::start_method::fresh_execution : fourfold::start_method::from_template;
  return result;
}

/// Milliseconds from no pool to the first result; ending the pool is not counted.
double first_result(const std::string& place) {
  const auto start = measure::clock::now();
  fourfold::process_pool pool(pool_options(place, 2));
  measure::require(pool.submit(next, 41).get() == 42, "the worker gave another answer");
  return measure::nanoseconds_since(start) / 1e6;
}

/// Milliseconds from a call that ends its worker to the result of the next.
double next_worker(fourfold::process_pool& pool) {
  const auto start = measure::clock::now();
  try {
    pool.submit(leave).get();
    measure::fail("the worker did not end");
  } catch (const fourfold::worker_died&) {
  }
  measure::require(pool.submit(next, 41).get() == 42, "the worker gave another answer");
  return measure::nanoseconds_since(start) / 1e6;
}

template <class Once>
double median_of_many(double seconds, Once&& once) {
  once();
  std::vector<double> times;
  const auto begin = measure::clock::now();
  while (measure::nanoseconds_since(begin) < seconds * 1e9 / 2 || times.size() < 3)
    times.push_back(once());
  return measure::percentile(times, 0.5);
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  std::optional<fourfold::worker_template> keep;
  if (options.place != "first")
    keep.emplace();
  const double pool = median_of_many(options.seconds, [&] { return first_result(options.place); });
  fourfold::process_pool recycled(pool_options(options.place, 1));
  const double recycle = median_of_many(options.seconds, [&] { return next_worker(recycled); });
  measure::print({{"pool", pool}, {"recycle", recycle}});
}
