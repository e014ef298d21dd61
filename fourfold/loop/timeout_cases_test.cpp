#include <fourfold/base/errors.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/future.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <utility>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<> nothing() { co_return; }
task<> sleep_for_ever() { co_await sleep_until(never); }
task<> sleep_briefly() { co_await sleep(1us); }
task<> wait_for(event& e) { co_await e.async_wait(); }
task<> await_future(future<void>& f) { co_await f; }
task<> yield_for_ever() {
  for (;;)
    co_await yield();
}

/// Keeps the loop from doing anything else until then.
void be_busy_until(clock::time_point end) {
  while (clock::now() <= end) {
  }
}

TEST(timeout, work_that_ends_with_somebody_else_s_cancellation_has_not_timed_out) {
  auto body = []() -> task<> {
    future<void> elsewhere = spawn(sleep_for_ever());
    auto cancel_soon = [](future<void>& f) -> task<> {
      co_await test::let_others_run();
      f.cancel();
    };
    future<void> canceller = spawn(cancel_soon(elsewhere));
    try {
      co_await timeout(1h, await_future(elsewhere));
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
    co_await canceller;
  };
  run(body());
}

TEST(timeout, cancelled_from_outside_before_its_limit_throws_cancelled) {
  auto body = []() -> task<> {
    future<void> f = spawn(timeout(1h, sleep_for_ever()));
    co_await test::let_others_run();
    EXPECT_TRUE(f.cancel());
    try {
      co_await f;
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
  };
  run(body());
}

TEST(timeout, result_that_was_there_before_a_cancellation_from_outside_is_not_lost) {
  auto take = [](future<int>& from) -> task<int> { co_return co_await from; };
  auto body = [](auto& take_one) -> task<> {
    promise<int> p;
    future<int> f = p.get_future();
    future<int> limited = spawn(timeout(1h, take_one(f)));
    co_await test::let_others_run();
    p.set_value(3);
    limited.cancel();
    EXPECT_EQ(co_await limited, 3);
  };
  run(body(take));
}

TEST(timeout, limits_that_both_passed_while_the_loop_was_busy_are_the_outer_one_s_error) {
  auto inner = [](clock::time_point start) -> task<> {
    auto busy = [](clock::time_point until) -> task<> {
      be_busy_until(until);
      co_await sleep_for_ever();
    };
    try {
      co_await timeout_at(start + 1ms, busy(start + 2ms));
    } catch (const timed_out&) {
      ADD_FAILURE() << "the inner limit must not hide the outer one";
    }
  };
  const auto start = clock::now();
  EXPECT_THROW(run(timeout_at(start + 2ms, inner(start))), timed_out);
}

TEST(timeout, inner_limit_that_passed_while_the_loop_was_busy_is_caught_and_the_outer_one_still_counts) {
  auto inner = [](bool& caught) -> task<> {
    auto busy = []() -> task<> {
      be_busy_until(clock::now() + 2ms);
      co_await sleep_for_ever();
    };
    try {
      co_await timeout(1ms, busy());
    } catch (const timed_out&) {
      caught = true;
    }
    co_await sleep_for_ever();
  };
  bool caught = false;
  EXPECT_THROW(run(timeout(300ms, inner(caught))), timed_out);
  EXPECT_TRUE(caught);
}

TEST(timeout, ends_work_that_never_waits_for_anything_but_its_turn) {
  EXPECT_THROW(run(timeout(0s, yield_for_ever())), timed_out);
  EXPECT_THROW(run(timeout(1ms, yield_for_ever())), timed_out);
}

TEST(timeout, limit_that_passes_after_its_work_has_ended_does_nothing) {
  auto body = []() -> task<> {
    const auto deadline = clock::now() + 1ms;
    co_await timeout_at(deadline, nothing());
    be_busy_until(deadline);
    co_await test::let_others_run();
    co_await sleep(1us);
  };
  run(body());
}

TEST(timeout, limits_that_were_not_needed_leave_no_timers) {
  auto body = []() -> task<> {
    for (int i = 0; i < 100; ++i)
      co_await timeout(1h, nothing());
    co_await timeout(1h, sleep_briefly());
    try {
      co_await timeout(1us, timeout(1h, sleep_for_ever()));
      ADD_FAILURE();
    } catch (const timed_out&) {
    }
    future<void> f = spawn(sleep_for_ever());
    co_await yield();
    f.cancel();
    try {
      co_await f;
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
    EXPECT_TRUE(loop::current().timers().empty());
  };
  run(body());
}

task<> nested_limits(int depth, event& forever) {
  if (depth == 0) {
    co_await forever.async_wait();
    co_return;
  }
  try {
    co_await timeout(1h, nested_limits(depth - 1, forever));
  } catch (const timed_out&) {
    ADD_FAILURE() << "no inner limit has passed";
  }
}

TEST(timeout, outermost_of_two_hundred_nested_limits_goes_through_all_of_them) {
  event forever;
  EXPECT_THROW(run(timeout(1ms, nested_limits(200, forever))), timed_out);
}

TEST(timeout, around_a_wait_that_was_granted_in_the_same_turn_as_a_cancellation_ends_once) {
  auto body = [](bool set_first) -> task<> {
    event e;
    future<void> f = spawn(timeout(1h, wait_for(e)));
    co_await test::let_others_run();
    if (set_first)
      e.set();
    f.cancel();
    e.set();
    try {
      co_await f;
      EXPECT_TRUE(set_first);
    } catch (const cancelled&) {
      EXPECT_FALSE(set_first);
    }
  };
  run(body(true));
  run(body(false));
}

} // namespace
} // namespace fourfold
