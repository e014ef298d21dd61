#include <fourfold/base/errors.hpp>
#include <fourfold/loop/exit_stack.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<> shield_for_ever(std::shared_ptr<int> kept) {
  auto waiting = sleep_until(never);
  co_await shield(std::move(waiting));
  ++*kept;
}

std::string run_and_capture(loop& l, task<> work) {
  testing::internal::CaptureStderr();
  l.run(std::move(work));
  return testing::internal::GetCapturedStderr();
}

TEST(loop_end, task_that_shields_itself_for_ever_is_reported_by_its_name_and_ended) {
  loop l({.patience = 1ms});
  auto kept = std::make_shared<int>(0);
  auto body = [&]() -> task<> {
    (void)spawn(shield_for_ever(kept), "keeper of the state");
    (void)spawn(shield_for_ever(kept));
    co_await test::let_others_run();
  };
  const std::string text = run_and_capture(l, body());
  EXPECT_NE(text.find("fourfold:   keeper of the state\n"), std::string::npos) << text;
  EXPECT_NE(text.find("fourfold:   1 without a name\n"), std::string::npos) << text;
  EXPECT_EQ(*kept, 0);
  EXPECT_EQ(kept.use_count(), 1);
}

TEST(loop_end, tasks_that_end_in_time_are_not_reported) {
  loop l({.patience = 1h});
  int cleaned_up = 0;
  auto work = [&]() -> task<> {
    try {
      co_await sleep_until(never);
    } catch (const cancelled&) {
    }
    co_await shield(test::let_others_run());
    ++cleaned_up;
  };
  auto body = [&]() -> task<> {
    (void)spawn(work());
    co_await test::let_others_run();
  };
  EXPECT_EQ(run_and_capture(l, body()), "");
  EXPECT_EQ(cleaned_up, 1);
  EXPECT_TRUE(l.timers().empty());
}

TEST(loop_end, shields_that_clean_up_opens_after_the_patience_end_too) {
  loop l({.patience = 1ms});
  int clean_ups = 0;
  auto stuck = [&]() -> task<> {
    ++clean_ups;
    co_await sleep_until(never);
  };
  auto fill = [&](exit_stack& stack) -> task<> {
    for (int i = 0; i < 3; ++i)
      stack.push(stuck);
    co_await sleep_until(never);
  };
  auto body = [&]() -> task<> {
    (void)spawn(with_exit_stack(fill), "three");
    co_await test::let_others_run();
  };
  const std::string text = run_and_capture(l, body());
  EXPECT_NE(text.find("three"), std::string::npos) << text;
  EXPECT_EQ(clean_ups, 3);
}

TEST(loop_end, loop_that_lost_its_patience_can_be_run_again) {
  loop l({.patience = 0ms});
  auto kept = std::make_shared<int>(0);
  auto body = [&]() -> task<> {
    (void)spawn(shield_for_ever(kept), "again");
    co_await test::let_others_run();
  };
  for (int i = 0; i < 3; ++i)
    EXPECT_NE(run_and_capture(l, body()).find("again"), std::string::npos);
  EXPECT_EQ(kept.use_count(), 1);
}

} // namespace
} // namespace fourfold
