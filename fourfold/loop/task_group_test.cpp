#include <fourfold/base/errors.hpp>
#include <fourfold/loop/exception_group.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

// What the tests count. Group bodies get it by reference: it outlives the run.
struct counts {
  int started = 0;
  int ended = 0;
  int cancelled = 0;
  event forever;
};

task<> work(counts& c, int yields) {
  ++c.started;
  co_await test::let_others_run(yields);
  ++c.ended;
}

task<> wait_for_ever(counts& c) {
  ++c.started;
  try {
    co_await c.forever.async_wait();
  } catch (const cancelled&) {
    ++c.cancelled;
  }
  co_await shield(test::let_others_run(3));
  ++c.ended;
  co_await yield(); // throws again
}

task<> fail(int yields) {
  co_await test::let_others_run(yields);
  throw std::out_of_range("child");
}

/// with_task_group as a task of its own, so that a test can wrap it; Body: task<>(task_group&, counts&).
template <class Body>
task<> group_of(Body body, counts& c) {
  auto bound = [&body, &c](task_group& group) { return body(group, c); };
  co_await with_task_group(bound);
}

TEST(task_group, leaving_waits_for_every_child) {
  counts c;
  auto body = [](task_group& group, counts& k) -> task<> {
    for (int i = 0; i < 5; ++i)
      group.spawn(work(k, i));
    EXPECT_EQ(group.live(), 5U);
    EXPECT_EQ(k.started, 0);
    co_return;
  };
  run(group_of(body, c));
  EXPECT_EQ(c.ended, 5);
}

TEST(task_group, without_children_ends_with_its_body) {
  counts c;
  auto body = [](task_group&, counts& k) -> task<> { co_await work(k, 2); };
  run(group_of(body, c));
  EXPECT_EQ(c.ended, 1);
}

TEST(task_group, failing_child_cancels_its_siblings_and_the_body_and_is_thrown) {
  counts c;
  auto body = [](task_group& group, counts& k) -> task<> {
    group.spawn(wait_for_ever(k));
    group.spawn(fail(2));
    group.spawn(wait_for_ever(k));
    co_await wait_for_ever(k);
    ADD_FAILURE();
  };
  EXPECT_THROW(run(group_of(body, c)), std::out_of_range);
  EXPECT_EQ(c.cancelled, 3);
  EXPECT_EQ(c.ended, 3);
}

TEST(task_group, failing_body_cancels_the_children_and_is_thrown) {
  counts c;
  auto body = [](task_group& group, counts& k) -> task<> {
    group.spawn(wait_for_ever(k));
    co_await yield();
    throw std::invalid_argument("body");
  };
  EXPECT_THROW(run(group_of(body, c)), std::invalid_argument);
  EXPECT_EQ(c.ended, 1);
}

TEST(task_group, failures_of_body_and_children_are_all_kept_in_order) {
  counts c;
  auto body = [](task_group& group, counts&) -> task<> {
    group.spawn(fail(0));
    try {
      co_await test::let_others_run(5);
    } catch (const cancelled&) {
      throw std::invalid_argument("body");
    }
  };
  try {
    run(group_of(body, c));
    ADD_FAILURE();
  } catch (const exception_group& group) {
    ASSERT_EQ(group.exceptions().size(), 2U);
    EXPECT_THROW(std::rethrow_exception(group.exceptions()[0]), std::out_of_range);
    EXPECT_THROW(std::rethrow_exception(group.exceptions()[1]), std::invalid_argument);
  }
}

task<> spawn_tree(task_group& group, counts& c, int depth) {
  ++c.started;
  if (depth > 0) {
    group.spawn(spawn_tree(group, c, depth - 1));
    co_await yield();
    group.spawn(spawn_tree(group, c, depth - 1));
  }
  ++c.ended;
}

TEST(task_group, children_may_spawn_into_it_also_while_it_is_left) {
  counts c;
  auto body = [](task_group& group, counts& k) -> task<> {
    group.spawn(spawn_tree(group, k, 8));
    co_return;
  };
  run(group_of(body, c));
  EXPECT_EQ(c.started, 511);
  EXPECT_EQ(c.ended, 511);
}

TEST(task_group, task_spawned_from_outside_between_the_last_child_and_the_end_is_waited_for) {
  const test::in_order_of_readiness kept("the outsider has its turn before the group that is being left");
  struct state {
    counts c;
    event last_child_ends;
    task_group* open = nullptr;
  } s;
  auto last_child = [](state& st) -> task<> {
    co_await yield();
    st.last_child_ends.set(); // the outsider is queued before the leaving group is
  };
  auto outsider = [](state& st) -> task<> {
    co_await st.last_child_ends.async_wait();
    st.open->spawn(work(st.c, 5));
  };
  auto body = [](state& st, auto& child) -> task<> {
    auto inside = [&](task_group& group) {
      st.open = &group;
      group.spawn(child(st));
      return test::let_others_run(0);
    };
    co_await with_task_group(inside);
    EXPECT_EQ(st.c.ended, 1);
  };
  auto main = [](state& st, auto& child, auto& from_outside, auto& open_group) -> task<> {
    future<void> other = spawn(from_outside(st));
    co_await yield();
    co_await open_group(st, child);
    co_await other;
  };
  run(main(s, last_child, outsider, body));
  EXPECT_EQ(s.c.ended, 1);
}

TEST(task_group, cancel_ends_children_and_body_and_leaving_is_normal) {
  counts c;
  auto body = [](task_group& group, counts& k) -> task<> {
    group.spawn(wait_for_ever(k));
    group.spawn(wait_for_ever(k));
    co_await yield();
    group.cancel();
    co_await yield();
    ADD_FAILURE();
  };
  auto around = [](auto& inner, counts& k) -> task<> {
    co_await group_of(inner, k);
    co_await yield(); // outside of the group nothing is cancelled
    ++k.started;
  };
  run(around(body, c));
  EXPECT_EQ(c.cancelled, 2);
  EXPECT_EQ(c.started, 3);
}

TEST(task_group, child_may_cancel_its_group) {
  counts c;
  auto canceller = [](task_group& group) -> task<> {
    co_await yield();
    group.cancel();
  };
  auto bound =
      [&](task_group& group) -> task<> { // NOLINT(cppcoreguidelines-avoid-capturing-lambda-coroutines)
    group.spawn(wait_for_ever(c));
    group.spawn(canceller(group));
    co_return;
  };
  run(with_task_group(bound));
  EXPECT_EQ(c.cancelled, 1);
}

TEST(task_group, task_spawned_into_a_cancelled_group_starts_and_ends_at_its_first_suspension) {
  counts c;
  auto body = [](task_group& group, counts& k) -> task<> {
    group.cancel();
    group.spawn(work(k, 1));
    co_return;
  };
  run(group_of(body, c));
  EXPECT_EQ(c.started, 1);
  EXPECT_EQ(c.ended, 0);
}

TEST(task_group, cancelled_from_outside_waits_for_its_children) {
  counts c;
  auto body = [](task_group& group, counts& k) -> task<> {
    group.spawn(wait_for_ever(k));
    group.spawn(wait_for_ever(k));
    co_return;
  };
  EXPECT_THROW(run(timeout(1ms, group_of(body, c))), timed_out);
  EXPECT_EQ(c.cancelled, 2);
  EXPECT_EQ(c.ended, 2);
}

TEST(task_group, results_of_its_children_are_dropped) {
  auto give = []() -> task<std::vector<int>> { co_return std::vector<int>(100); };
  auto body = [](task_group& group, auto& make) -> task<> {
    for (int i = 0; i < 100; ++i)
      group.spawn(make());
    co_return;
  };
  auto bound = [&](task_group& group) { return body(group, give); };
  run(with_task_group(bound));
}

TEST(task_group, groups_nest_and_the_inner_failure_passes_through_the_outer) {
  counts c;
  auto inner = [](task_group& group, counts& k) -> task<> {
    group.spawn(fail(1));
    group.spawn(wait_for_ever(k));
    co_return;
  };
  auto outer = [](task_group& group, counts& k, auto& nested) -> task<> {
    group.spawn(wait_for_ever(k));
    co_await group_of(nested, k);
  };
  auto bound = [&](task_group& group) { return outer(group, c, inner); };
  EXPECT_THROW(run(with_task_group(bound)), std::out_of_range);
  EXPECT_EQ(c.cancelled, 2);
}

TEST(task_group, a_task_that_was_moved_from_is_an_error_and_not_a_crash) {
  auto main = []() -> task<> {
    auto work = []() -> task<> { co_return; };
    task<> moved = work();
    const task<> thief = std::move(moved);
    auto body = [&](task_group& group) -> task<> {
      EXPECT_THROW(group.spawn(std::move(moved)), error); // NOLINT(bugprone-use-after-move)
      co_return;
    };
    co_await with_task_group(body);
  };
  run(main());
}

} // namespace
} // namespace fourfold
