#include <fourfold/base/errors.hpp>
#include <fourfold/base/lost_error.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

task<std::string> name_after_a_wait() {
  co_await test::let_others_run();
  co_return std::string(this_task_name());
}

task<int> fail_soon() {
  co_await yield();
  throw std::out_of_range("spawned");
}

TEST(task_name, is_what_it_was_spawned_with_also_in_what_it_awaits_and_while_others_take_turns) {
  auto body = []() -> task<> {
    auto outer = []() -> task<std::string> { co_return co_await name_after_a_wait(); };
    std::string temporary = "first";
    future<std::string> first = spawn(outer(), temporary);
    temporary = "gone!"; // it was copied
    future<std::string> second = spawn(name_after_a_wait(), "second");
    future<std::string> unnamed = spawn(name_after_a_wait());
    EXPECT_EQ(co_await first, "first");
    EXPECT_EQ(co_await second, "second");
    EXPECT_EQ(co_await unnamed, "");
    EXPECT_EQ(this_task_name(), "");
  };
  run(body());
  EXPECT_EQ(this_task_name(), ""); // outside of a task
}

TEST(task_name, is_given_to_tasks_of_a_group) {
  const test::in_order_of_readiness in_order("children start in the order in which they were spawned");
  std::vector<std::string> names;
  auto child = [&]() -> task<> { names.push_back(co_await name_after_a_wait()); };
  auto body = [&](task_group& group) -> task<> {
    group.spawn(child(), "a name that is too long for a small string");
    group.spawn(child(), "b");
    group.spawn(child());
    co_return;
  };
  run(with_task_group(body));
  const std::vector<std::string> expected{"a name that is too long for a small string", "b", ""};
  EXPECT_EQ(names, expected);
}

TEST(task_name, is_not_handed_down_to_tasks_that_run_beside) {
  auto body = []() -> task<std::string> {
    auto [inner] = co_await gather(name_after_a_wait());
    EXPECT_EQ(inner, "");
    co_return std::string(this_task_name());
  };
  auto outer = [&]() -> task<> {
    future<std::string> named = spawn(body(), "outer");
    EXPECT_EQ(co_await named, "outer");
  };
  run(outer());
}

int told = 0;
std::string told_text;
void remember(const std::exception_ptr& lost, std::string_view where) noexcept {
  ++told;
  try {
    std::rethrow_exception(lost);
  } catch (const std::exception& e) {
    told_text = std::string(where) + ": " + e.what();
  } catch (...) {
    told_text = "?";
  }
}

class lost_error : public testing::Test {
 protected:
  void SetUp() override {
    told = 0;
    told_text.clear();
    before_ = set_lost_error_handler(&remember);
  }
  void TearDown() override { EXPECT_EQ(set_lost_error_handler(before_), &remember); }

 private:
  lost_error_handler before_ = nullptr;
};

TEST_F(lost_error, of_a_task_whose_future_was_dropped_before_or_after_it_failed_is_told) {
  auto body = []() -> task<> {
    (void)spawn(fail_soon());
    co_await test::let_others_run();
    EXPECT_EQ(told, 1);
    {
      const future<int> kept = spawn(fail_soon());
      co_await test::let_others_run();
      EXPECT_TRUE(kept.ready());
      EXPECT_EQ(told, 1);
    }
    EXPECT_EQ(told, 2);
  };
  run(body());
  EXPECT_NE(told_text.find(": spawned"), std::string::npos) << told_text;
}

TEST_F(lost_error, of_a_task_that_ends_after_run_s_own_is_told) {
  auto fail_in_clean_up = []() -> task<> {
    event forever;
    try {
      co_await forever.async_wait();
    } catch (const cancelled&) {
      throw std::out_of_range("clean-up");
    }
  };
  auto body = [&]() -> task<> {
    (void)spawn(fail_in_clean_up());
    co_await test::let_others_run();
  };
  run(body());
  EXPECT_EQ(told, 1);
}

TEST_F(lost_error, is_not_told_when_somebody_has_taken_or_seen_it) {
  auto body = []() -> task<> {
    future<int> awaited = spawn(fail_soon());
    bool caught = false;
    try {
      co_await awaited;
    } catch (const std::out_of_range&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
    {
      const future<int> seen = spawn(fail_soon());
      co_await test::let_others_run();
      EXPECT_NE(seen.exception(), nullptr);
    }
  };
  run(body());
  EXPECT_EQ(told, 0);
}

TEST_F(lost_error, is_not_told_of_results_of_cancellation_and_of_what_run_throws) {
  auto body = []() -> task<> {
    event forever;
    auto wait_for = [](event& e) -> task<> { co_await e.async_wait(); };
    auto give = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(1); };
    (void)spawn(give());
    {
      future<void> stopped = spawn(wait_for(forever));
      co_await test::let_others_run();
      stopped.cancel();
      co_await test::let_others_run();
      EXPECT_TRUE(stopped.ready());
    }
    throw std::out_of_range("main");
  };
  EXPECT_THROW(run(body()), std::out_of_range);
  EXPECT_EQ(told, 0);
}

TEST(lost_error_handler, writes_a_line_to_standard_error_unless_another_was_set) {
  ASSERT_EQ(set_lost_error_handler(nullptr), nullptr);
  auto body = []() -> task<> {
    (void)spawn(fail_soon());
    co_await test::let_others_run();
  };
  testing::internal::CaptureStderr();
  run(body());
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("fourfold: "), std::string::npos) << text;
  EXPECT_NE(text.find(": spawned\n"), std::string::npos) << text;
}

TEST(future_exception, is_null_for_a_result_stays_and_is_refused_before_the_end) {
  promise<int> p;
  future<int> waiting = p.get_future();
  EXPECT_THROW((void)waiting.exception(), error);
  p.set_exception(std::make_exception_ptr(std::out_of_range("set")));
  EXPECT_THROW(std::rethrow_exception(waiting.exception()), std::out_of_range);
  EXPECT_NE(waiting.exception(), nullptr);
  EXPECT_THROW(waiting.get(), std::out_of_range);
  EXPECT_THROW((void)waiting.exception(), error); // was taken
  EXPECT_EQ(make_ready_future<int>(1).exception(), nullptr);
}

TEST(future_exception, of_a_cancelled_task_is_cancelled) {
  auto body = []() -> task<> {
    event forever;
    auto wait_for = [](event& e) -> task<> { co_await e.async_wait(); };
    future<void> stopped = spawn(wait_for(forever));
    co_await test::let_others_run();
    EXPECT_FALSE(stopped.ready());
    stopped.cancel();
    co_await stopped.async_wait();
    EXPECT_THROW(std::rethrow_exception(stopped.exception()), cancelled);
  };
  run(body());
}

} // namespace
} // namespace fourfold
