#include <fourfold/base/errors.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/sync/event.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

task<> set_true(bool& ran) {
  ran = true;
  co_return;
}

TEST(task, runs_nothing_until_it_is_awaited) {
  bool ran = false;
  auto body = [](bool& flag) -> task<> {
    task<> t = set_true(flag);
    EXPECT_FALSE(flag);
    co_await std::move(t);
    EXPECT_TRUE(flag);
  };
  run(body(ran));
}

TEST(task, destroyed_before_it_was_started_runs_nothing_and_frees_its_arguments) {
  auto body = [](std::shared_ptr<int> argument, bool& ran) -> task<> {
    ran = argument != nullptr;
    co_return;
  };
  bool ran = false;
  const auto argument = std::make_shared<int>(1);
  {
    const task<> t = body(argument, ran);
    EXPECT_TRUE(t.valid());
    EXPECT_EQ(argument.use_count(), 2);
  }
  EXPECT_EQ(argument.use_count(), 1);
  EXPECT_FALSE(ran);
}

task<int> give(int value) { co_return value; }

TEST(task, is_movable_and_knows_whether_it_was_moved_from) {
  task<int> a = give(1);
  task<int> b = std::move(a);
  EXPECT_FALSE(a.valid()); // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(b.valid());
  a = std::move(b);
  EXPECT_EQ(run(std::move(a)), 1);
}

TEST(task, awaiting_one_that_was_moved_from_or_awaited_before_is_an_error) {
  auto body = []() -> task<> {
    task<int> a = give(1);
    task<int> b = std::move(a);
    try {
      co_await std::move(a); // NOLINT(bugprone-use-after-move)
      ADD_FAILURE();
    } catch (const error&) {
    }
    EXPECT_EQ(co_await std::move(b), 1);
    try {
      co_await std::move(b); // NOLINT(bugprone-use-after-move)
      ADD_FAILURE();
    } catch (const error&) {
    }
  };
  run(body());
}

TEST(task, returns_references_move_only_values_and_braced_ones) {
  static int variable = 0;
  auto reference = []() -> task<int&> { co_return variable; };
  auto owner = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
  auto braced = []() -> task<std::pair<int, std::string>> { co_return {1, "one"}; };
  auto converted = []() -> task<std::string> { co_return "text"; };
  EXPECT_EQ(&run(reference()), &variable);
  EXPECT_EQ(*run(owner()), 5);
  EXPECT_EQ(run(braced()).second, "one");
  EXPECT_EQ(run(converted()), "text");
}

struct own_error : std::runtime_error {
  explicit own_error(int n) : std::runtime_error("own"), number(n) {}
  int number;
};

task<int> fail_at_depth(int depth) {
  if (depth == 0)
    throw own_error(7);
  if (depth % 2 == 0)
    co_await yield();
  co_return co_await fail_at_depth(depth - 1);
}

TEST(task, exception_reaches_the_awaiter_with_its_type_through_many_levels) {
  for (const int depth : {0, 1, 2, 31, 32, 33, 500}) {
    try {
      run(fail_at_depth(depth));
      ADD_FAILURE();
    } catch (const own_error& e) {
      EXPECT_EQ(e.number, 7);
    }
  }
}

TEST(task, awaiter_goes_on_after_catching) {
  auto body = []() -> task<int> {
    int caught = 0;
    for (int i = 0; i < 100; ++i) {
      try {
        co_await fail_at_depth(i);
      } catch (const own_error&) {
        ++caught;
      }
    }
    co_return caught;
  };
  EXPECT_EQ(run(body()), 100);
}

TEST(task, awaited_in_a_loop_many_times_uses_a_bounded_stack) {
  auto body = []() -> task<int> {
    int sum = 0;
    for (int i = 0; i < 200'000; ++i)
      sum += co_await give(1);
    co_return sum;
  };
  EXPECT_EQ(run(body()), 200'000);
}

task<int> ready_chain(int depth) {
  if (depth == 0)
    co_return 0;
  co_return 1 + co_await ready_chain(depth - 1);
}

TEST(task, chain_of_a_million_ready_levels_does_not_overflow_the_stack) {
  EXPECT_EQ(run(ready_chain(1'000'000)), 1'000'000);
}

task<int> suspended_chain(int depth, event& deepest_may_go) {
  if (depth == 0) {
    co_await deepest_may_go.async_wait();
    co_return 0;
  }
  co_return 1 + co_await suspended_chain(depth - 1, deepest_may_go);
}

task<int> resume_chain(int depth) {
  event go;
  auto chain = spawn(suspended_chain(depth, go));
  co_await yield();
  go.set();
  co_return co_await chain;
}

TEST(task, chain_of_a_hundred_thousand_suspended_levels_resumes_and_does_not_overflow_the_stack) {
  EXPECT_EQ(run(resume_chain(100'000)), 100'000);
}

task<int> failing_chain(int depth) {
  if (depth == 0) {
    co_await yield();
    throw own_error(1);
  }
  co_return 1 + co_await failing_chain(depth - 1);
}

TEST(task, exception_through_a_deep_suspended_chain_does_not_overflow_the_stack) {
  EXPECT_THROW(run(failing_chain(20'000)), own_error);
}

task<int> branching(int depth) {
  if (depth == 0) {
    co_await yield();
    co_return 1;
  }
  const int left = co_await branching(depth - 1);
  const int right = co_await branching(depth - 1);
  co_return left + right;
}

TEST(task, levels_that_suspend_and_go_on_in_turn_add_up) { EXPECT_EQ(run(branching(12)), 4096); }

task<int> deep_at_every_level(int depth) {
  int sum = 0;
  if (depth % 7 == 0)
    co_await yield();
  for (int i = 0; i < 3; ++i)
    sum += co_await ready_chain(depth);
  if (depth > 0)
    sum += co_await deep_at_every_level(depth - 1);
  co_return sum;
}

TEST(task, chains_around_the_nesting_limit_add_up) {
  EXPECT_EQ(run(deep_at_every_level(100)), 3 * 100 * 101 / 2);
}

TEST(task, locals_are_destroyed_in_order_before_the_awaiter_goes_on) {
  struct note_end {
    std::vector<std::string>& to;
    const char* name;
    ~note_end() { to.emplace_back(name); }
  };
  auto inner = [](std::vector<std::string>& to) -> task<> {
    const note_end first{to, "first"};
    const note_end second{to, "second"};
    co_await yield();
  };
  auto outer = [](std::vector<std::string>& to, auto& child) -> task<> {
    co_await child(to);
    to.emplace_back("awaiter");
  };
  std::vector<std::string> order;
  run(outer(order, inner));
  EXPECT_EQ(order, (std::vector<std::string>{"second", "first", "awaiter"}));
}

// A coroutine type that no loop runs.
struct stray {
  struct promise_type {
    stray get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { throw; }
  };
};

TEST(task, awaiting_outside_of_a_loop_is_an_error) {
  auto sleeping = []() -> stray { co_await sleep(std::chrono::milliseconds(1)); };
  auto yielding = []() -> stray { co_await yield(); };
  auto waiting = [](event& e) -> stray { co_await e.async_wait(); };
  event e;
  EXPECT_THROW(sleeping(), wrong_thread);
  EXPECT_THROW(yielding(), wrong_thread);
  EXPECT_THROW(waiting(e), wrong_thread);
}

} // namespace
} // namespace fourfold
