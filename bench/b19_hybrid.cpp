// B19: how near to the ideal do 10,000 coroutines run, each of which waits 10 ms and computes 0.1 ms, in two worker
// processes? As one call a worker that gathers its half of them (`--place shares`), or each as a call of its own
// (`--place calls`). The ideal is the computing, measured in a row in this program, shared by the CPUs that can take part, and
// one wait, before which nothing can be computed.
#include "b18_work.hpp"
#include "support/measure.hpp"

#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/future.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr unsigned workers = 2;
constexpr std::size_t calls = 10'000;
constexpr auto wait = 10ms;
constexpr double computing_ns = 1e5;

std::uint64_t compute(std::uint64_t size) {
  return static_cast<std::uint64_t>(work::sum_of_squares(0, size));
}

fourfold::task<std::uint64_t> wait_and_compute(std::uint64_t size) {
  co_await fourfold::sleep(wait);
  co_return compute(size);
}

double seconds_in_a_row(std::uint64_t size, std::uint64_t expected) {
  const auto start = measure::clock::now();
  for (std::size_t i = 0; i < calls; ++i)
    measure::require(compute(size) == expected, "in a row");
  return measure::nanoseconds_since(start) / 1e9;
}

/// The sum of all.
fourfold::task<std::uint64_t> share(std::uint64_t size, std::size_t count) {
  std::vector<fourfold::task<std::uint64_t>> tasks;
  tasks.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    tasks.push_back(wait_and_compute(size));
  std::uint64_t sum = 0;
  for (const std::uint64_t one : co_await fourfold::gather(std::move(tasks)))
    sum += one;
  co_return sum;
}

double seconds_in_the_pool(fourfold::process_pool& pool, bool shares, std::uint64_t size,
                           std::uint64_t expected) {
  std::vector<fourfold::future<std::uint64_t>> futures;
  futures.reserve(calls);
  const auto start = measure::clock::now();
  if (shares) {
    for (unsigned i = 0; i < workers; ++i)
      futures.push_back(pool.submit(share, size, calls / workers));
  } else {
    for (std::size_t i = 0; i < calls; ++i)
      futures.push_back(pool.submit(wait_and_compute, size));
  }
  std::uint64_t sum = 0;
  for (auto& future : futures)
    sum += future.get();
  measure::require(sum == expected * calls, "in the pool");
  return measure::nanoseconds_since(start) / 1e9;
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  const double per_step = measure::nanoseconds_per_unit(
      0.1, [](std::uint64_t count) { measure::require(count < 2 || compute(count) != 0, "sum"); });
  const auto size = static_cast<std::uint64_t>(computing_ns / per_step);
  const std::uint64_t expected = compute(size);

  fourfold::process_pool pool({.workers = workers});
  const bool shares = options.place != "calls";
  seconds_in_the_pool(pool, shares, 1, compute(1));
  const double cpus = std::min<double>(workers, static_cast<double>(options.cpus.size()));
  std::vector<double> ratios;
  std::vector<double> times;
  for (int i = 0; i < 3; ++i) {
    const double row = seconds_in_a_row(size, expected);
    times.push_back(seconds_in_the_pool(pool, shares, size, expected));
    ratios.push_back((row / cpus + std::chrono::duration<double>(wait).count()) / times.back());
  }
  measure::print({{"ratio", measure::percentile(ratios, 0.5)}, {"seconds", measure::percentile(times, 0.5)}});
}
