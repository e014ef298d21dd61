#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<int> sleep_and_note(clock::time_point deadline, int number, std::vector<int>& order) {
  co_await sleep_until(deadline);
  order.push_back(number);
  co_return number;
}

TEST(sleep, those_with_the_same_deadline_go_on_in_the_order_in_which_they_began) {
  const test::in_order_of_readiness kept("equal deadlines go on in the order of arming");
  std::vector<int> order;
  auto body = [](std::vector<int>& to) -> task<> {
    const auto deadline = clock::now() + 2ms;
    std::vector<task<int>> sleepers;
    for (int i = 0; i < 20; ++i)
      sleepers.push_back(sleep_and_note(deadline, i, to));
    co_await gather(std::move(sleepers));
  };
  run(body(order));
  ASSERT_EQ(order.size(), 20U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

// L15, scaled to a two-hundredth. Deadlines count from one moment, so that the order does not depend on the
// machine.
TEST(sleep, ten_tasks_finish_in_order_of_delay_with_results_in_order_of_submission) {
  const test::in_order_of_readiness kept("equal deadlines go on in the order of arming");
  std::vector<int> order;
  auto body = [](std::vector<int>& to) -> task<std::vector<int>> {
    const int delays[] = {2, 1, 3, 1, 2, 3, 1, 2, 3, 2};
    const auto start = clock::now();
    std::vector<task<int>> tasks;
    for (int i = 0; i < 10; ++i)
      tasks.push_back(sleep_and_note(start + delays[i] * 5ms, i, to));
    auto results = co_await gather(std::move(tasks));
    EXPECT_GE(clock::now() - start, 15ms);
    co_return results;
  };
  EXPECT_EQ(run(body(order)), (std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(order, (std::vector{1, 3, 6, 0, 4, 7, 9, 2, 5, 8}));
}

task<> worker(std::string name, clock::time_point end, std::vector<std::string>& log) {
  log.push_back(name + " starting");
  co_await sleep_until(end);
  log.push_back(name + " done");
}

// X10, scaled to a two-hundredth.
TEST(sleep, worker_b_that_takes_half_as_long_ends_before_worker_a) {
  const test::in_order_of_readiness kept("children start in the order of the arguments");
  const std::vector<std::string> expected{"A starting", "B starting", "B done", "A done"};
  std::vector<std::string> as_arguments;
  auto with_arguments = [](std::vector<std::string>& log) -> task<> {
    const auto start = clock::now();
    co_await gather(worker("A", start + 10ms, log), worker("B", start + 5ms, log));
  };
  run(with_arguments(as_arguments));
  EXPECT_EQ(as_arguments, expected);

  std::vector<std::string> as_vector;
  auto with_vector = [](std::vector<std::string>& log) -> task<> {
    const auto start = clock::now();
    std::vector<task<>> workers;
    workers.push_back(worker("A", start + 10ms, log));
    workers.push_back(worker("B", start + 5ms, log));
    co_await gather(std::move(workers));
  };
  run(with_vector(as_vector));
  EXPECT_EQ(as_vector, expected);
}

TEST(sleep, is_never_early) {
  auto body = []() -> task<> {
    for (const auto duration : {0us, 1us, 50us, 1500us}) {
      const auto start = clock::now();
      co_await sleep(duration);
      EXPECT_GE(clock::now() - start, duration);
    }
  };
  run(body());
}

TEST(sleep, until_the_past_or_for_a_negative_time_ends_at_the_next_turn) {
  auto body = []() -> task<> {
    co_await sleep(-1h);
    co_await sleep(std::chrono::hours::min());
    co_await sleep_until(clock::now() - 1h);
    co_await sleep_until(clock::time_point::min());
    co_await sleep(0s);
  };
  run(body());
}

TEST(sleep, for_ever_can_be_cancelled) {
  auto body = []() -> task<> { co_await sleep(std::chrono::hours::max()); };
  EXPECT_THROW(run(timeout(1ms, body())), timed_out);
}

task<> sleep_long() { co_await sleep(1h); }

TEST(sleep, cancelled_sleepers_among_many_do_not_disturb_the_others) {
  const test::in_order_of_readiness kept("timers that are due together go on by deadline");
  std::vector<int> order;
  auto body = [](std::vector<int>& to) -> task<> {
    const auto start = clock::now();
    std::vector<future<void>> cancelled_ones;
    std::vector<future<int>> others;
    for (int i = 0; i < 500; ++i) {
      cancelled_ones.push_back(spawn(sleep_long()));
      others.push_back(spawn(sleep_and_note(start + std::chrono::microseconds(i * 10), i, to)));
    }
    co_await yield();
    for (auto& c : cancelled_ones)
      EXPECT_TRUE(c.cancel());
    for (auto& o : others)
      co_await o;
    for (auto& c : cancelled_ones) {
      try {
        co_await c;
        ADD_FAILURE();
      } catch (const cancelled&) {
      }
    }
  };
  run(body(order));
  EXPECT_EQ(order.size(), 500U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(yield, lets_each_ready_task_run_in_turn) {
  const test::in_order_of_readiness kept("tasks that yield take turns");
  std::string order;
  auto letters = [](std::string& to, char letter) -> task<> {
    for (int i = 0; i < 3; ++i) {
      to += letter;
      co_await yield();
    }
  };
  auto body = [](std::string& to, auto& each) -> task<> {
    co_await gather(each(to, 'a'), each(to, 'b'), each(to, 'c'));
  };
  run(body(order, letters));
  EXPECT_EQ(order, "abcabcabc");
}

} // namespace
} // namespace fourfold
