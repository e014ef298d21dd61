// B10: how long does a call of a no-op in a warm pool worker take, there and back?
// Placements: same CPU and across park at once, spinning never parks, free leaves pool and scheduler as they
// come.
#include "support/measure.hpp"

#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/future.hpp>

#include <cstdint>

namespace {

std::uint64_t next(std::uint64_t value) { return value + 1; }

fourfold::process_pool_options pool_options(measure::placement placement) {
  fourfold::process_pool_options result;
  result.workers = 1;
  if (placement == measure::placement::spinning) {
    result.spin_microseconds = 1'000'000;
  } else if (placement != measure::placement::free) {
    result.spin_microseconds = 0;
  }
  return result;
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  // On one CPU the pool is born there. Across, it is placed afterwards: one that was born pinned would
  // rightly conclude that there is a single CPU, and never spin.
  if (options.placement == measure::placement::same_cpu)
    measure::pin_thread(options.first_cpu());
  fourfold::process_pool pool(pool_options(options.placement));
  if (options.pinned()) {
    const int cpu = pool.submit(measure::pin_process, options.second_cpu()).get();
    measure::require(cpu == options.second_cpu(), "the worker runs on another CPU than it was told");
    measure::pin_process(options.first_cpu());
  }
  const auto times = measure::round_trips(options.seconds, [&](std::uint64_t i) {
    measure::require(pool.submit(next, i).get() == i + 1, "the worker gave another answer");
  });
  measure::print(
      {{"p50", measure::percentile(times, 0.50) / 1000}, {"p99", measure::percentile(times, 0.99) / 1000}});
}
