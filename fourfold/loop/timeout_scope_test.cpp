#include <fourfold/base/errors.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <utility>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<> sleep_for_ever() { co_await sleep_until(never); }

TEST(timeout_scope, that_is_not_moved_ends_its_body_when_it_passes) {
  bool cleaned_up = false;
  auto body = [&](timeout_scope& limit) -> task<> {
    EXPECT_FALSE(limit.expired());
    try {
      co_await sleep_for_ever();
    } catch (const cancelled&) {
    }
    EXPECT_TRUE(limit.expired());
    co_await shield(test::let_others_run());
    cleaned_up = true;
    co_await yield(); // throws again
  };
  EXPECT_THROW(run(with_timeout(1ms, body)), timed_out);
  EXPECT_TRUE(cleaned_up);
}

TEST(timeout_scope, passes_on_what_the_body_returns_or_throws) {
  static int variable = 0;
  auto value = [](timeout_scope&) -> task<int> { co_return 4; };
  auto reference = [](timeout_scope&) -> task<int&> { co_return variable; };
  auto owner = [](timeout_scope&) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
  auto fail = [](timeout_scope&) -> task<> {
    co_await yield();
    throw std::out_of_range("body");
  };
  EXPECT_EQ(run(with_timeout(1h, value)), 4);
  EXPECT_EQ(&run(with_timeout(1h, reference)), &variable);
  EXPECT_EQ(*run(with_timeout(1h, owner)), 3);
  EXPECT_THROW(run(with_timeout(1h, fail)), std::out_of_range);
  EXPECT_EQ(run(with_timeout_at(never, value)), 4);
}

TEST(timeout_scope, keeps_a_temporary_body_s_captures_until_it_has_ended) {
  auto make = []() {
    auto body = [kept = std::make_shared<int>(7)](timeout_scope&) -> task<int> {
      co_await test::let_others_run();
      co_return *kept;
    };
    return with_timeout(1h, std::move(body));
  };
  EXPECT_EQ(run(make()), 7);
}

TEST(timeout_scope, moved_later_lets_the_body_go_on_beyond_the_first_limit) {
  auto body = [](timeout_scope& limit) -> task<int> {
    const auto first = limit.deadline();
    limit.reschedule(1h);
    EXPECT_GT(limit.deadline(), first + 30min);
    co_await sleep_until(first + 2ms);
    EXPECT_FALSE(limit.expired());
    co_return 1;
  };
  EXPECT_EQ(run(with_timeout(5ms, body)), 1);
}

TEST(timeout_scope, moved_earlier_ends_the_body_then) {
  auto body = [](timeout_scope& limit) -> task<> {
    limit.reschedule(clock::now() + 1ms);
    co_await sleep_for_ever();
  };
  EXPECT_THROW(run(with_timeout(1h, body)), timed_out);
}

TEST(timeout_scope, moved_into_the_past_ends_the_body_at_its_next_wait) {
  auto body = [](timeout_scope& limit) -> task<> {
    limit.reschedule(-1s);
    EXPECT_FALSE(limit.expired()); // the loop has not had its turn
    co_await sleep_for_ever();
  };
  EXPECT_THROW(run(with_timeout(1h, body)), timed_out);
}

TEST(timeout_scope, moved_by_another_task_while_the_body_waits) {
  timeout_scope* inside = nullptr;
  auto body = [&](timeout_scope& limit) -> task<> {
    inside = &limit;
    co_await sleep_for_ever();
  };
  auto outer = [&]() -> task<> {
    auto limited = with_timeout(1h, body);
    future<void> work = spawn(std::move(limited));
    co_await test::let_others_run();
    inside->reschedule(1ms);
    bool out_of_time = false;
    try {
      co_await work;
    } catch (const timed_out&) {
      out_of_time = true;
    }
    EXPECT_TRUE(out_of_time);
  };
  run(outer());
}

TEST(timeout_scope, taken_away_and_put_back) {
  auto body = [](timeout_scope& limit) -> task<> {
    const auto first = limit.deadline();
    limit.reschedule(never);
    EXPECT_EQ(limit.deadline(), never);
    co_await sleep_until(first + 2ms);
    EXPECT_FALSE(limit.expired());
    limit.reschedule(1ms);
    co_await sleep_for_ever();
  };
  EXPECT_THROW(run(with_timeout(5ms, body)), timed_out);
}

TEST(timeout_scope, put_where_there_was_none) {
  auto body = [](timeout_scope& limit) -> task<> {
    EXPECT_EQ(limit.deadline(), never);
    limit.reschedule(1ms);
    co_await sleep_for_ever();
  };
  EXPECT_THROW(run(with_timeout_at(never, body)), timed_out);
}

TEST(timeout_scope, moved_after_it_has_passed_is_an_error) {
  auto body = [](timeout_scope& limit) -> task<> {
    try {
      co_await sleep_for_ever();
    } catch (const cancelled&) {
    }
    EXPECT_THROW(limit.reschedule(1h), error);
    EXPECT_THROW(limit.reschedule(never), error);
    co_await yield(); // still cancelled
  };
  EXPECT_THROW(run(with_timeout(1ms, body)), timed_out);
}

TEST(timeout_scope, outside_of_a_task_or_from_another_loop_is_an_error) {
  EXPECT_THROW(timeout_scope{never}, wrong_thread);
  auto body = [](timeout_scope& limit) -> task<> {
    test::loop_thread other;
    EXPECT_THROW(other->submit([&] { limit.reschedule(1h); }).get(), wrong_thread);
    EXPECT_EQ(limit.deadline(), never);
    co_return;
  };
  run(with_timeout_at(never, body));
}

TEST(timeout_scope, result_that_was_there_first_is_not_lost) {
  event e;
  auto body = [&](timeout_scope& limit) -> task<int> {
    e.set();
    limit.reschedule(-1s);
    co_return 5;
  };
  EXPECT_EQ(run(with_timeout(1h, body)), 5);
}

TEST(timeout_scope, cancellation_from_outside_is_no_time_out) {
  auto body = [](timeout_scope&) -> task<> { co_await sleep_for_ever(); };
  auto outer = [&]() -> task<> {
    auto limited = with_timeout(1h, body);
    future<void> work = spawn(std::move(limited));
    co_await test::let_others_run();
    work.cancel();
    bool was_cancelled = false;
    try {
      co_await work;
    } catch (const cancelled&) {
      was_cancelled = true;
    }
    EXPECT_TRUE(was_cancelled);
  };
  run(outer());
}

TEST(timeout_scope, nested_the_one_that_passes_throws) {
  auto inner = [](timeout_scope&) -> task<> { co_await sleep_for_ever(); };
  int inner_passed = 0;
  auto outer = [&](timeout_scope& limit) -> task<> {
    try {
      co_await with_timeout(1ms, inner);
    } catch (const timed_out&) {
      ++inner_passed;
    }
    EXPECT_FALSE(limit.expired());
    limit.reschedule(1ms);
    co_await with_timeout(1h, inner); // the outer one passes: not this one's business
  };
  EXPECT_THROW(run(with_timeout(1h, outer)), timed_out);
  EXPECT_EQ(inner_passed, 1);
}

// A timer that stayed behind would wake a scope that has gone.
TEST(timeout_scope, leaves_no_timer_behind) {
  auto body = [](timeout_scope& limit) -> task<> {
    for (int i = 0; i < 100; ++i)
      limit.reschedule(std::chrono::hours(i + 1));
    co_return;
  };
  auto outer = [&]() -> task<> {
    const bool empty_before = loop::current().timers().empty();
    co_await with_timeout(1h, body);
    EXPECT_TRUE(empty_before);
    EXPECT_TRUE(loop::current().timers().empty());
  };
  run(outer());
}

} // namespace
} // namespace fourfold
