// B08: what does it cost to submit a call to the thread pool and get its result?
// Unpinned: 1000 submitted, then all fetched, one worker a CPU. Pinned: one at a time, one worker, caller and
// worker placed.
#include "support/measure.hpp"

#include <fourfold/sync/future.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <cstdint>
#include <vector>

namespace {

constexpr std::uint64_t batch = 1000;

std::uint64_t next(std::uint64_t value) { return value + 1; }

double pipelined(const measure::options& options) {
  fourfold::thread_pool pool({.threads = static_cast<unsigned>(options.cpus.size())});
  std::vector<fourfold::future<std::uint64_t>> futures(batch);
  return measure::nanoseconds_per_unit(
      options.seconds,
      [&](std::uint64_t count) {
        std::uint64_t sum = 0;
        for (std::uint64_t done = 0; done < count; done += batch) {
          for (std::uint64_t i = 0; i < batch; ++i)
            futures[i] = pool.submit(next, i);
          for (auto& future : futures)
            sum += future.get();
        }
        measure::require(sum == count / batch * (batch * (batch + 1) / 2), "a call was lost");
      },
      batch);
}

double one_at_a_time(const measure::options& options) {
  // On one CPU the pool is born there; across, the caller is placed afterwards: a pool that was born on one
  // CPU would rightly conclude that spinning is useless.
  if (options.placement == measure::placement::same_cpu)
    measure::pin_thread(options.first_cpu());
  fourfold::thread_pool pool({.threads = 1});
  const int second_cpu = options.second_cpu();
  pool.submit([second_cpu] { measure::pin_thread(second_cpu); }).get();
  measure::pin_thread(options.first_cpu());
  return measure::nanoseconds_per_unit(options.seconds, [&](std::uint64_t count) {
    std::uint64_t value = 0;
    for (std::uint64_t i = 0; i < count; ++i)
      value = pool.submit(next, value).get();
    measure::require(value == count, "a call was lost");
  });
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::print({{"ns", options.pinned() ? one_at_a_time(options) : pipelined(options)}});
}
