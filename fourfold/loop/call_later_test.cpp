#include <fourfold/base/errors.hpp>
#include <fourfold/loop/call_later.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

TEST(call_later, calls_when_the_time_has_come_and_not_before) {
  auto body = []() -> task<> {
    const auto begun = clock::now();
    clock::time_point called;
    future<void> call = call_later(3ms, [&] { called = clock::now(); });
    EXPECT_FALSE(call.ready());
    co_await call;
    EXPECT_GE(called, begun + 3ms);
  };
  run(body());
}

TEST(call_later, calls_in_the_order_of_the_deadlines_and_then_of_the_planning) {
  const test::in_order_of_readiness in_order("equal deadlines in the order of planning");
  auto body = []() -> task<> {
    std::vector<int> order;
    const auto base = clock::now() + 2ms;
    future<void> last = call_at(base + 2ms, [&] { order.push_back(9); });
    std::vector<future<void>> same;
    for (int i = 0; i < 5; ++i)
      same.push_back(call_at(base, [&order, i] { order.push_back(i); }));
    co_await last;
    const std::vector<int> expected{0, 1, 2, 3, 4, 9};
    EXPECT_EQ(order, expected);
  };
  run(body());
}

TEST(call_later, zero_negative_and_past_are_called_in_a_later_turn) {
  auto body = []() -> task<> {
    int calls = 0;
    future<void> zero = call_later(0ms, [&] { ++calls; });
    future<void> negative = call_later(-1h, [&] { ++calls; });
    future<void> past = call_at(clock::time_point::min(), [&] { ++calls; });
    EXPECT_EQ(calls, 0);
    co_await zero;
    co_await negative;
    co_await past;
    EXPECT_EQ(calls, 3);
  };
  run(body());
}

TEST(call_later, cancel_takes_it_back_and_frees_the_function) {
  auto body = []() -> task<> {
    auto kept = std::make_shared<int>(0);
    future<void> call = call_later(1h, [kept] { ++*kept; });
    future<void> not_begun = call_later(1h, [kept] { ++*kept; });
    not_begun.cancel(); // at once
    co_await test::let_others_run();
    EXPECT_TRUE(call.cancel());
    co_await test::let_others_run();
    EXPECT_TRUE(call.ready());
    EXPECT_THROW(call.get(), cancelled);
    EXPECT_THROW(not_begun.get(), cancelled);
    EXPECT_EQ(kept.use_count(), 1);
    EXPECT_EQ(*kept, 0);
    EXPECT_TRUE(loop::current().timers().empty());
  };
  run(body());
}

TEST(call_later, dropping_the_future_does_not_take_it_back) {
  auto body = []() -> task<> {
    event called;
    (void)call_later(1ms, [&] { called.set(); });
    co_await called.async_wait();
  };
  run(body());
}

TEST(call_later, one_that_is_still_to_come_when_run_ends_is_not_called) {
  auto kept = std::make_shared<int>(0);
  auto body = [&]() -> task<> {
    (void)call_later(1h, [kept] { ++*kept; });
    co_await yield();
  };
  run(body());
  EXPECT_EQ(*kept, 0);
  EXPECT_EQ(kept.use_count(), 1);
}

TEST(call_later, what_the_function_throws_is_in_the_future) {
  auto body = []() -> task<> {
    future<void> call = call_later(1ms, [] { throw std::out_of_range("called"); });
    co_await call.async_wait();
    EXPECT_THROW(call.get(), std::out_of_range);
  };
  run(body());
}

TEST(call_later, takes_move_only_functions_and_drops_their_result) {
  auto body = []() -> task<> {
    int seen = 0;
    future<void> call = call_later(1ms, [&seen, value = std::make_unique<int>(6)] { return seen = *value; });
    co_await call;
    EXPECT_EQ(seen, 6);
  };
  run(body());
}

TEST(call_later, coroutine_function_is_run_to_its_end) {
  auto body = []() -> task<> {
    bool ended = false;
    auto work = [&ended, kept = std::make_shared<int>(1)]() -> task<> {
      co_await test::let_others_run();
      ended = *kept == 1;
    };
    future<void> call = call_later(1ms, std::move(work));
    co_await call;
    EXPECT_TRUE(ended);
  };
  run(body());
}

TEST(call_later, from_another_call_and_by_a_call_that_cancels_another) {
  auto body = []() -> task<> {
    int calls = 0;
    event done;
    future<void> never_called = call_later(1h, [&] { calls += 100; });
    (void)call_later(1ms, [&] {
      ++calls;
      never_called.cancel();
      (void)call_later(1ms, [&] {
        ++calls;
        done.set();
      });
    });
    co_await done.async_wait();
    EXPECT_EQ(calls, 2);
  };
  run(body());
}

TEST(call_later, where_no_loop_runs_is_an_error) {
  EXPECT_THROW((void)call_later(1ms, [] {}), wrong_thread);
}

} // namespace
} // namespace fourfold
