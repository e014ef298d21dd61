#include <fourfold/base/errors.hpp>
#include <fourfold/loop/detail/timer_queue.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

/// Notes the order in which timers fire.
struct noted_waiter final : waiter {
  noted_waiter(int n, std::vector<int>& to) : number(n), fired(to) {}
  void wake() noexcept override { fired.push_back(number); }
  int number;
  std::vector<int>& fired;
};

TEST(timer_queue, fires_those_that_are_due_by_deadline_and_then_by_arming) {
  detail::timer_queue timers;
  std::vector<int> fired;
  std::deque<noted_waiter> waiters;
  const clock::time_point start{1h};
  for (int i = 0; i < 6; ++i)
    waiters.emplace_back(i, fired);
  timers.arm(waiters[0], start + 2s);
  timers.arm(waiters[1], start + 1s);
  timers.arm(waiters[2], start + 2s);
  timers.arm(waiters[3], start + 1s);
  timers.arm(waiters[4], start + 3s);
  timers.arm(waiters[5], start + 2s);
  EXPECT_EQ(timers.next(), start + 1s);
  timers.fire(start);
  EXPECT_TRUE(fired.empty());
  timers.fire(start + 2s);
  EXPECT_EQ(fired, (std::vector{1, 3, 0, 2, 5}));
  EXPECT_EQ(timers.next(), start + 3s);
  EXPECT_TRUE(timers.withdraw(waiters[4]));
  EXPECT_FALSE(timers.withdraw(waiters[4]));
  EXPECT_FALSE(timers.withdraw(waiters[0]));
  EXPECT_TRUE(timers.empty());
  EXPECT_EQ(timers.next(), never);
}

TEST(timer_queue, hundred_thousand_timers_of_which_half_are_withdrawn_fire_in_order) {
  constexpr int count = 100'000;
  detail::timer_queue timers;
  std::vector<int> fired;
  std::deque<noted_waiter> waiters;
  std::vector<clock::time_point> deadlines;
  std::minstd_rand random(1);
  for (int i = 0; i < count; ++i) {
    waiters.emplace_back(i, fired);
    deadlines.emplace_back(std::chrono::milliseconds(random() % 10'000)); // ten of each, about
    timers.arm(waiters.back(), deadlines.back());
  }
  std::vector<int> expected(count);
  for (int i = 0; i < count; ++i)
    expected[static_cast<std::size_t>(i)] = i;
  std::shuffle(expected.begin(), expected.end(), random);
  for (int i = 0; i < count / 2; ++i) {
    EXPECT_TRUE(timers.withdraw(waiters[static_cast<std::size_t>(expected.back())]));
    expected.pop_back();
  }
  std::sort(expected.begin(), expected.end(), [&](int a, int b) {
    const auto first = deadlines[static_cast<std::size_t>(a)];
    const auto second = deadlines[static_cast<std::size_t>(b)];
    return first != second ? first < second : a < b;
  });
  for (auto now = 0ms; now <= 10'000ms; now += 100ms)
    timers.fire(clock::time_point(now));
  EXPECT_EQ(fired, expected);
  EXPECT_TRUE(timers.empty());
}

task<int> sleep_and_note(clock::time_point deadline, int number, std::vector<int>& order) {
  co_await sleep_until(deadline);
  order.push_back(number);
  co_return number;
}

TEST(sleep, those_with_the_same_deadline_go_on_in_the_order_in_which_they_began) {
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
