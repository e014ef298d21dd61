// B08, oneTBB: `task_arena::enqueue` (the documented way to hand work over without joining in it) with a
// std::promise for the result. One slot is reserved for the caller, so the arena has exactly the number of
// workers asked for.
#include "../support/measure.hpp"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <cstdint>
#include <future>
#include <memory>
#include <vector>

namespace {

namespace tbb = oneapi::tbb;

constexpr std::uint64_t batch = 1000;

std::uint64_t next(std::uint64_t value) { return value + 1; }

class pool {
 public:
  explicit pool(std::size_t workers)
      : limit_(tbb::global_control::max_allowed_parallelism, workers + 1),
        arena_(static_cast<int>(workers) + 1, /*reserved_for_masters=*/1) {}

  // enqueue copies its function, hence the shared promise.
  std::future<std::uint64_t> submit(std::uint64_t value) {
    auto promise = std::make_shared<std::promise<std::uint64_t>>();
    std::future<std::uint64_t> result = promise->get_future();
    arena_.enqueue([promise, value] { promise->set_value(next(value)); });
    return result;
  }

  void pin_worker(int cpu) {
    std::promise<void> pinned;
    arena_.enqueue([&pinned, cpu] {
      measure::pin_thread(cpu);
      pinned.set_value();
    });
    pinned.get_future().get();
  }

 private:
  tbb::global_control limit_;
  tbb::task_arena arena_;
};

double pipelined(const measure::options& options) {
  pool workers(options.cpus.size());
  std::vector<std::future<std::uint64_t>> futures(batch);
  return measure::nanoseconds_per_unit(
      options.seconds,
      [&](std::uint64_t count) {
        std::uint64_t sum = 0;
        for (std::uint64_t done = 0; done < count; done += batch) {
          for (std::uint64_t i = 0; i < batch; ++i)
            futures[i] = workers.submit(i);
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
  pool workers(1);
  workers.pin_worker(options.second_cpu());
  measure::pin_thread(options.first_cpu());
  return measure::nanoseconds_per_unit(options.seconds, [&](std::uint64_t count) {
    std::uint64_t value = 0;
    for (std::uint64_t i = 0; i < count; ++i)
      value = workers.submit(value).get();
    measure::require(value == count, "a call was lost");
  });
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::print({{"ns", options.pinned() ? one_at_a_time(options) : pipelined(options)}});
}
