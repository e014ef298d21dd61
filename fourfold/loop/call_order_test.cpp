#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<> note(std::vector<int>& order, int number) {
  order.push_back(number);
  co_return;
}

task<> note_at(clock::time_point deadline, std::vector<int>& order, int number) {
  co_await sleep_until(deadline);
  order.push_back(number);
}

void be_busy_until(clock::time_point end) {
  while (clock::now() <= end) {
  }
}

TEST(call_order, posted_and_spawned_work_starts_in_the_order_of_the_calls) {
  const test::in_order_of_readiness kept("calls start in the order in which they were made");
  auto body = [](std::vector<int>& order) -> task<> {
    loop& l = loop::current();
    l.post([&order] { order.push_back(0); });
    spawn(note(order, 1));
    l.submit([&order] { order.push_back(2); });
    l.post([&order] { order.push_back(3); });
    spawn(note(order, 4));
    EXPECT_TRUE(order.empty()) << "nothing runs inside of the call that asks for it";
    co_await test::let_others_run();
  };
  std::vector<int> order;
  run(body(order));
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
}

TEST(call_order, what_a_posted_function_posts_runs_behind_those_that_were_there) {
  loop l;
  std::vector<int> order;
  l.post([&] {
    order.push_back(0);
    l.post([&] { order.push_back(2); });
    order.push_back(0);
  });
  l.post([&] { order.push_back(1); });
  l.run(test::let_others_run());
  EXPECT_EQ(order, (std::vector{0, 0, 1, 2}));
}

TEST(call_order, sleep_of_zero_goes_on_behind_what_is_ready) {
  const test::in_order_of_readiness kept("what is ready runs before a timer");
  auto body = [](std::vector<int>& order) -> task<> {
    for (int i = 0; i < 5; ++i)
      spawn(note(order, i));
    co_await sleep(0s);
    order.push_back(5);
  };
  std::vector<int> order;
  run(body(order));
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4, 5}));
}

TEST(call_order, deadlines_that_passed_while_the_loop_was_busy_go_on_by_deadline) {
  const test::in_order_of_readiness kept("timers that are due together go on by deadline");
  auto body = [](std::vector<int>& order) -> task<> {
    const auto start = clock::now();
    auto busy = [](clock::time_point until) -> task<> {
      co_await yield(); // the sleepers have begun
      be_busy_until(until);
    };
    co_await gather(note_at(start + 3ms, order, 3), note_at(start + 1ms, order, 1),
                    note_at(start + 2ms, order, 2), busy(start + 3ms));
  };
  std::vector<int> order;
  run(body(order));
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST(sleep, counts_from_the_call_however_busy_the_loop_was_before) {
  auto body = []() -> task<> {
    co_await sleep(1us);
    be_busy_until(clock::now() + 3ms);
    const auto start = clock::now();
    co_await sleep(2ms);
    EXPECT_GE(clock::now() - start, 2ms);
  };
  run(body());
}

TEST(sleep, endless_sleeps_of_zero_starve_neither_ready_tasks_nor_posts_nor_timers) {
  struct state {
    bool stop = false;
    long sleeps = 0;
  } s;
  auto sleep_often = [](state& st) -> task<> {
    while (!st.stop) {
      co_await sleep(0s);
      ++st.sleeps;
    }
  };
  auto body = [](state& st, auto& often) -> task<> {
    future<void> a = spawn(often(st));
    future<void> b = spawn(often(st));
    co_await test::let_others_run();
    co_await sleep(1ms);
    event posted;
    std::jthread poster([&posted, &l = loop::current()] { l.post([&posted] { posted.set(); }); });
    co_await posted.async_wait();
    st.stop = true;
    co_await a;
    co_await b;
  };
  run(body(s, sleep_often));
  EXPECT_GT(s.sleeps, 0);
}

// Two timers fire together, and what the first one wakes would have stopped the second.
TEST(sleep, sleeper_due_together_with_its_canceller_ends_once_and_is_cancelled_at_its_next_wait) {
  struct state {
    future<void> second;
    int woken = 0;
  } s;
  auto first = [](state& st, clock::time_point deadline) -> task<> {
    co_await sleep_until(deadline);
    EXPECT_TRUE(st.second.cancel());
  };
  auto second = [](state& st, clock::time_point deadline) -> task<> {
    try {
      co_await sleep_until(deadline);
    } catch (const cancelled&) {
    }
    ++st.woken;
    co_await yield();
    ADD_FAILURE();
  };
  auto body = [](state& st, auto& one, auto& other) -> task<> {
    const auto deadline = clock::now() + 1ms;
    future<void> canceller = spawn(one(st, deadline));
    st.second = spawn(other(st, deadline));
    co_await yield();
    be_busy_until(deadline);
    co_await canceller;
    try {
      co_await st.second;
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
  };
  run(body(s, first, second));
  EXPECT_EQ(s.woken, 1);
}

TEST(sleep, for_a_time_that_is_not_a_number_ends_at_the_next_turn) {
  auto body = []() -> task<> {
    co_await sleep(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN()));
  };
  run(body());
}

} // namespace
} // namespace fourfold
