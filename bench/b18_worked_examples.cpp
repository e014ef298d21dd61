// B18: how near to the ideal do the worked examples X01 to X04 run? The ideal is the longer of (a real serial
// run / CPUs that can take part) and the longest single item, measured in this program, in turn with the
// parallel run.
#include "b18_work.hpp"
#include "support/measure.hpp"

#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/future.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using work::wide;

constexpr unsigned workers = 4;
constexpr std::uint64_t million = 1'000'000;

struct item {
  wide (*function)(std::uint64_t, std::uint64_t);
  std::uint64_t first;
  std::uint64_t second;
  wide expected;
};

wide product(std::uint64_t a, std::uint64_t b) { return static_cast<wide>(a) * b; }

std::vector<item> items_of(const std::string& example) {
  if (example == "X01")
    return {{work::sum_of_squares, 1, 10 * million + 1, product(333333383333335, million)},
            {work::sum_of_squares, 1, 20 * million + 1, product(2666666866666670, million)},
            {work::sum_of_squares, 1, 30 * million + 1, product(9000000450000005, million)},
            {work::sum_of_squares, 1, 40 * million + 1, product(21333334133333340, million)}};
  if (example == "X02")
    return std::vector<item>(4, {work::count_primes, 100'000, 0, 9592});
  if (example == "X03")
    return {{work::sum_of_squares, 0, 1 * million, 333332833333500000},
            {work::sum_of_squares, 0, 2 * million, 2666664666667000000},
            {work::sum_of_squares, 0, 3 * million, 8999995500000500000U},
            {work::sum_of_squares, 0, 10 * million, product(333333283333335, million)}};
  measure::fail("unknown example: " + example);
}

struct figures {
  double ratio;
  double seconds;
};

double median(std::vector<double> values) { return measure::percentile(std::move(values), 0.5); }

// Serial and parallel in turn, at least three times, until a second is full.
template <class Pool>
figures cpu_bound(Pool& pool, const measure::options& options) {
  const std::vector<item> items = items_of(options.example);
  const double cpus = std::min<double>(workers, static_cast<double>(options.cpus.size()));
  std::vector<double> ratios;
  std::vector<double> times;
  const auto begin = measure::clock::now();
  while (times.size() < 3 || measure::nanoseconds_since(begin) < 1e9) {
    double serial = 0;
    double longest = 0;
    for (const item& one : items) {
      const auto start = measure::clock::now();
      measure::require(one.function(one.first, one.second) == one.expected, "serial");
      const double elapsed = measure::nanoseconds_since(start) / 1e9;
      serial += elapsed;
      longest = std::max(longest, elapsed);
    }
    std::vector<fourfold::future<wide>> futures;
    const auto start = measure::clock::now();
    for (const item& one : items)
      futures.push_back(pool.submit(one.function, one.first, one.second));
    for (std::size_t i = 0; i < items.size(); ++i)
      measure::require(futures[i].get() == items[i].expected, "parallel");
    times.push_back(measure::nanoseconds_since(start) / 1e9);
    ratios.push_back(std::max(serial / cpus, longest) / times.back());
  }
  return {median(ratios), median(times)};
}

template <class Pool>
void warm_up(Pool& pool) {
  std::vector<fourfold::future<int>> futures;
  for (unsigned i = 0; i < pool.size(); ++i)
    futures.push_back(pool.submit(work::fetch));
  for (auto& future : futures)
    future.get();
}

constexpr int fetches = 10;

double seconds_on_five_threads() {
  fourfold::thread_pool pool({.threads = 5});
  warm_up(pool);
  std::vector<fourfold::future<int>> futures;
  const auto start = measure::clock::now();
  for (int i = 0; i < fetches; ++i)
    futures.push_back(pool.submit(work::fetch));
  int done = 0;
  for (auto& future : futures)
    done += future.get();
  measure::require(done == fetches, "a fetch was lost");
  return measure::nanoseconds_since(start) / 1e9;
}

fourfold::task<int> fetch() {
  co_await fourfold::sleep(work::wait);
  co_return 1;
}

fourfold::task<double> seconds_as_coroutines() {
  std::vector<fourfold::task<int>> tasks;
  const auto start = measure::clock::now();
  for (int i = 0; i < fetches; ++i)
    tasks.push_back(fetch());
  const std::vector<int> done = co_await fourfold::gather(std::move(tasks));
  const double elapsed = measure::nanoseconds_since(start) / 1e9;
  measure::require(done == std::vector<int>(fetches, 1), "a fetch was lost");
  co_return elapsed;
}

figures waiting(bool threads) {
  const double longest_wait = std::chrono::duration<double>(work::wait).count() * (threads ? 2 : 1);
  std::vector<double> times;
  for (int i = 0; i < 3; ++i)
    times.push_back(threads ? seconds_on_five_threads() : fourfold::run(seconds_as_coroutines()));
  const double seconds = median(times);
  return {longest_wait / seconds, seconds};
}

figures run(const measure::options& options) {
  if (options.example == "X04")
    return waiting(options.place == "threads");
  if (options.place == "threads") {
    fourfold::thread_pool pool({.threads = workers});
    warm_up(pool);
    return cpu_bound(pool, options);
  }
  fourfold::process_pool pool({.workers = workers});
  warm_up(pool);
  return cpu_bound(pool, options);
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  const figures result = run(options);
  measure::print({{"ratio", result.ratio}, {"seconds", result.seconds}});
}
