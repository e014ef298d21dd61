#include <fourfold/base/errors.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/place/map.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

static_assert(executor<loop> && executor<thread_pool> && executor<process_pool>);
static_assert(!executor<int>);

std::int64_t square(std::int64_t n) { return n * n; }
std::string describe(int n) { return "number " + std::to_string(n); }
int fail_at_seven(int n) {
  if (n == 7)
    throw std::out_of_range("seven");
  return n;
}
task<int> twice_later(int n) {
  co_await sleep(1ms);
  co_return 2 * n;
}

std::vector<std::int64_t> numbers(std::size_t count) {
  std::vector<std::int64_t> all(count);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// One piece of code for every place: that is the promise.
template <executor E>
void expect_squares_in_order(E& place, std::size_t count) {
  const auto inputs = numbers(count);
  const auto squares = map(place, square, inputs).get(30s);
  ASSERT_EQ(squares.size(), count);
  for (std::size_t i = 0; i < count; ++i)
    ASSERT_EQ(squares[i], inputs[i] * inputs[i]);
}

TEST(map, gives_results_in_the_order_of_the_inputs_on_threads_and_in_processes) {
  thread_pool threads({.threads = 3});
  process_pool processes({.workers = 2});
  for (const std::size_t count : {0U, 1U, 5U, 1000U, 20000U}) {
    expect_squares_in_order(threads, count);
    expect_squares_in_order(processes, count);
  }
}

TEST(map, runs_on_a_loop_too) {
  auto main = []() -> task<std::vector<std::string>> {
    const std::vector<int> inputs{3, 1, 2};
    co_return co_await map(loop::current(), describe, inputs);
  };
  EXPECT_EQ(run(main()), (std::vector<std::string>{"number 3", "number 1", "number 2"}));
}

TEST(map, runs_a_coroutine_function_many_at_once_on_the_workers_loops) {
  process_pool processes({.workers = 2});
  const auto all = numbers(500);
  const std::vector<int> inputs(all.begin(), all.end());
  const auto results = map(processes, twice_later, inputs).get(30s);
  ASSERT_EQ(results.size(), inputs.size());
  for (std::size_t i = 0; i < results.size(); ++i)
    EXPECT_EQ(results[i], 2 * inputs[i]);
}

TEST(map, the_failure_of_one_input_is_the_failure_of_the_map) {
  thread_pool threads({.threads = 2});
  process_pool processes({.workers = 2});
  std::vector<int> inputs(100);
  std::iota(inputs.begin(), inputs.end(), 0);
  EXPECT_THROW(map(threads, fail_at_seven, inputs).get(30s), std::out_of_range);
  EXPECT_THROW(map(processes, fail_at_seven, inputs).get(30s), std::out_of_range);
}

TEST(map, a_failure_stops_what_has_not_begun) {
  thread_pool one({.threads = 1});
  auto begun = std::make_shared<std::atomic<int>>(0);
  auto count = [begun](int n) {
    ++*begun;
    if (n == 0)
      throw std::runtime_error("first");
    return n;
  };
  std::vector<int> inputs(50);
  std::iota(inputs.begin(), inputs.end(), 0);
  EXPECT_THROW(map(one, count, inputs).get(30s), std::runtime_error);
  EXPECT_LT(*begun, 50);
}

TEST(map, of_a_function_without_result_waits_for_all) {
  thread_pool threads({.threads = 4});
  std::atomic<int> sum = 0;
  map(threads, [&sum](int n) { sum += n; }, std::vector<int>{1, 2, 3, 4}).get(30s);
  EXPECT_EQ(sum, 10);
}

TEST(map, moves_from_a_range_that_is_given_away) {
  thread_pool threads({.threads = 2});
  std::vector<std::unique_ptr<int>> inputs;
  for (int i = 0; i < 10; ++i)
    inputs.push_back(std::make_unique<int>(i));
  const auto values = map(threads, [](std::unique_ptr<int> p) { return *p; }, std::move(inputs)).get(30s);
  EXPECT_EQ(values, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(map, inside_of_a_pools_own_job_does_not_deadlock) {
  thread_pool one({.threads = 1});
  auto outer = [&one](int n) {
    const auto inner = map(one, [](int m) { return m + 1; }, std::vector<int>{n, n + 1}).get();
    return inner[0] + inner[1];
  };
  EXPECT_EQ(map(one, outer, std::vector<int>{1, 2}).get(30s), (std::vector<int>{5, 7}));
}

TEST(map, a_pool_that_is_closed_refuses_it) {
  thread_pool threads({.threads = 1});
  threads.shutdown();
  EXPECT_THROW(static_cast<void>(map(threads, square, numbers(3))), pool_closed);
}

} // namespace
} // namespace fourfold
