#include <fourfold/base/errors.hpp>
#include <fourfold/loop/exception_group.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

/// What the tests share with their tasks; it outlives the run.
struct state {
  event forever;
  event go;
  int started = 0;
  int cancelled = 0;
  int ended = 0;
};

task<> wait_for_ever(state& s) {
  ++s.started;
  try {
    co_await s.forever.async_wait();
  } catch (const cancelled&) {
    ++s.cancelled;
    throw;
  }
}

task<> fail_when_told(state& s) {
  co_await s.go.async_wait();
  throw std::out_of_range("told");
}

task<> fail_in_clean_up(state& s) {
  try {
    co_await s.forever.async_wait();
  } catch (const cancelled&) {
    ++s.cancelled;
    throw std::invalid_argument("while cleaning up");
  }
}

/// with_task_group for a Body of the form task<>(task_group&, state&).
template <class Body>
task<> group_of(Body body, state& s) {
  auto bound = [&body, &s](task_group& group) { return body(group, s); };
  co_await with_task_group(bound);
}

/// Spawns `work`, lets everything begin to wait, and cancels it.
template <class T>
task<T> spawn_and_cancel(task<T> work) {
  future<T> f = spawn(std::move(work));
  co_await test::let_others_run();
  EXPECT_TRUE(f.cancel());
  co_return co_await f;
}

TEST(task_group, cancelled_from_outside_while_its_body_waits_ends_body_and_children) {
  state s;
  auto body = [](task_group& group, state& st) -> task<> {
    group.spawn(wait_for_ever(st));
    group.spawn(wait_for_ever(st));
    co_await wait_for_ever(st);
  };
  EXPECT_THROW(run(spawn_and_cancel(group_of(body, s))), cancelled);
  EXPECT_EQ(s.cancelled, 3);
}

TEST(task_group, failure_in_a_clean_up_after_cancellation_from_outside_is_thrown) {
  state s;
  auto in_child = [](task_group& group, state& st) -> task<> {
    group.spawn(fail_in_clean_up(st));
    co_await wait_for_ever(st);
  };
  auto in_body = [](task_group& group, state& st) -> task<> {
    group.spawn(wait_for_ever(st));
    co_await fail_in_clean_up(st);
  };
  EXPECT_THROW(run(spawn_and_cancel(group_of(in_child, s))), std::invalid_argument);
  EXPECT_THROW(run(spawn_and_cancel(group_of(in_body, s))), std::invalid_argument);
  EXPECT_EQ(s.cancelled, 4);
}

TEST(task_group, failure_in_the_clean_up_of_an_inner_group_is_kept_beside_the_outer_failure) {
  state s;
  auto inner = [](task_group& group, state& st) -> task<> {
    group.spawn(fail_in_clean_up(st));
    co_return;
  };
  auto outer = [](task_group& group, state& st, auto& nested) -> task<> {
    group.spawn(fail_when_told(st));
    st.go.set();
    co_await group_of(nested, st);
  };
  auto bound = [&](task_group& group) { return outer(group, s, inner); };
  try {
    run(with_task_group(bound));
    ADD_FAILURE();
  } catch (const exception_group& group) {
    ASSERT_EQ(group.exceptions().size(), 2U);
    EXPECT_THROW(std::rethrow_exception(group.exceptions()[0]), std::out_of_range);
    EXPECT_THROW(std::rethrow_exception(group.exceptions()[1]), std::invalid_argument);
  }
}

TEST(task_group, failure_of_an_inner_group_that_is_caught_leaves_the_outer_one_alone) {
  state s;
  auto inner = [](task_group& group, state& st) -> task<> {
    group.spawn(fail_when_told(st));
    st.go.set();
    co_return;
  };
  auto finite = [](state& st) -> task<> {
    co_await test::let_others_run();
    ++st.ended;
  };
  auto outer = [](task_group& group, state& st, auto& nested, auto& sibling) -> task<> {
    group.spawn(sibling(st));
    try {
      co_await group_of(nested, st);
      ADD_FAILURE();
    } catch (const std::out_of_range&) {
    }
    co_await yield();
    ++st.ended;
  };
  auto bound = [&](task_group& group) { return outer(group, s, inner, finite); };
  run(with_task_group(bound));
  EXPECT_EQ(s.ended, 2);
}

TEST(task_group, failures_of_inner_and_outer_group_at_once_are_thrown_each_by_its_own) {
  state s;
  auto inner = [](task_group& group, state& st) -> task<> {
    group.spawn(fail_when_told(st));
    co_await wait_for_ever(st);
  };
  auto fail_too = [](state& st) -> task<> {
    co_await st.go.async_wait();
    throw std::length_error("outer");
  };
  auto outer = [](task_group& group, state& st, auto& nested, auto& fail) -> task<> {
    group.spawn(fail(st));
    try {
      co_await group_of(nested, st);
      ADD_FAILURE();
    } catch (const std::out_of_range&) {
      ++st.ended;
    }
    co_await yield(); // the outer group is cancelled
    ADD_FAILURE();
  };
  auto bound = [&](task_group& group) { return outer(group, s, inner, fail_too); };
  auto main = [](state& st, auto& body) -> task<> {
    future<void> f = spawn(with_task_group(body));
    co_await test::let_others_run();
    st.go.set();
    try {
      co_await f;
      ADD_FAILURE();
    } catch (const std::length_error&) {
    }
  };
  run(main(s, bound));
  EXPECT_EQ(s.ended, 1);
}

TEST(task_group, failure_and_cancellation_from_outside_at_once_throws_the_failure_and_stays_cancelled) {
  state s;
  auto body = [](task_group& group, state& st) -> task<> {
    group.spawn(fail_when_told(st));
    co_await wait_for_ever(st);
  };
  auto work = [](state& st, auto& inside) -> task<> {
    try {
      co_await group_of(inside, st);
      ADD_FAILURE();
    } catch (const std::out_of_range&) {
      ++st.ended;
    }
    co_await yield();
    ADD_FAILURE() << "the cancellation from outside still holds";
  };
  auto main = [](state& st, auto& each, auto& inside) -> task<> {
    future<void> f = spawn(each(st, inside));
    co_await test::let_others_run();
    st.go.set();
    EXPECT_TRUE(f.cancel());
    try {
      co_await f;
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
  };
  run(main(s, work, body));
  EXPECT_EQ(s.ended, 1);
}

void spawn_two(task_group& group, state& s);

task<> grow(task_group& group, state& s) {
  ++s.started;
  co_await yield();
  spawn_two(group, s);
}

void spawn_two(task_group& group, state& s) {
  group.spawn(grow(group, s));
  group.spawn(grow(group, s));
}

TEST(task_group, whose_children_multiply_for_ever_ends_when_one_fails) {
  state s;
  auto stop_at_a_hundred = [](state& st) -> task<> {
    while (st.started < 100)
      co_await yield();
    throw std::out_of_range("enough");
  };
  auto body = [](task_group& group, state& st, auto& stop) -> task<> {
    group.spawn(grow(group, st));
    group.spawn(stop(st));
    co_return;
  };
  auto bound = [&](task_group& group) { return body(group, s, stop_at_a_hundred); };
  EXPECT_THROW(run(with_task_group(bound)), std::out_of_range);
  EXPECT_GE(s.started, 100);
}

TEST(task_group, child_that_has_ended_is_freed_and_not_counted_while_the_group_goes_on) {
  auto hold = [](std::shared_ptr<int>) -> task<> { co_await yield(); };
  auto body = [](task_group& group, auto& child) -> task<> {
    const auto argument = std::make_shared<int>(1);
    for (int i = 0; i < 10; ++i)
      group.spawn(child(argument));
    EXPECT_EQ(group.live(), 10U);
    EXPECT_EQ(argument.use_count(), 11);
    co_await test::let_others_run();
    EXPECT_EQ(group.live(), 0U);
    EXPECT_EQ(argument.use_count(), 1);
  };
  auto bound = [&](task_group& group) { return body(group, hold); };
  run(with_task_group(bound));
}

TEST(task_group, failures_that_are_no_std_exceptions_are_kept_and_told_of) {
  state s;
  auto body = [](task_group& group, state& st) -> task<> {
    group.spawn(fail_when_told(st));
    st.go.set();
    try {
      co_await st.forever.async_wait();
    } catch (const cancelled&) {
      throw 7;
    }
  };
  try {
    run(group_of(body, s));
    ADD_FAILURE();
  } catch (const exception_group& group) {
    ASSERT_EQ(group.exceptions().size(), 2U);
    EXPECT_THROW(std::rethrow_exception(group.exceptions()[1]), int);
    EXPECT_STREQ(group.what(), "2 failures:\n  told\n  (not a std::exception)");
  }
}

task<> await_future(future<void>& f) { co_await f; }

TEST(task_group, child_that_awaits_work_cancelled_elsewhere_fails_and_ends_its_siblings) {
  state s;
  auto body = [](task_group& group, state& st) -> task<> {
    future<void> elsewhere = spawn(wait_for_ever(st));
    group.spawn(await_future(elsewhere));
    group.spawn(wait_for_ever(st));
    co_await test::let_others_run();
    elsewhere.cancel();
    co_await wait_for_ever(st);
  };
  EXPECT_THROW(run(group_of(body, s)), cancelled);
  EXPECT_EQ(s.cancelled, 3);
}

TEST(task_group, cancel_does_not_reach_a_task_that_was_spawned_on_the_loop_from_inside) {
  state s;
  auto outsider = [](state& st) -> task<int> {
    co_await st.go.async_wait();
    co_return 1;
  };
  auto main = [](state& st, auto& outside) -> task<int> {
    future<int> beside;
    auto body =
        [&](task_group& group) -> task<> { // NOLINT(cppcoreguidelines-avoid-capturing-lambda-coroutines)
      beside = spawn(outside(st));
      group.spawn(wait_for_ever(st));
      co_await test::let_others_run();
      group.cancel();
    };
    co_await with_task_group(body);
    EXPECT_FALSE(beside.ready());
    st.go.set();
    co_return co_await beside;
  };
  EXPECT_EQ(run(main(s, outsider)), 1);
  EXPECT_EQ(s.cancelled, 1);
}

TEST(task_group, cancelled_twice_and_without_children_ends_normally) {
  state s;
  auto body = [](task_group& group, state& st) -> task<> {
    group.cancel();
    group.cancel();
    ++st.ended;
    co_return;
  };
  run(group_of(body, s));
  EXPECT_EQ(s.ended, 1);
}

TEST(task_group, keeps_a_temporary_body_s_captures_until_it_has_ended) {
  const std::string text(100, 'x');
  std::string seen;
  auto make = [&]() {
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): what this test is about
    return with_task_group([text, &seen](task_group&) -> task<> {
      co_await yield();
      seen = text;
    });
  };
  run(make());
  EXPECT_EQ(seen, text);
}

TEST(task_group, outside_of_a_loop_is_an_error) { EXPECT_THROW(task_group(), wrong_thread); }

TEST(gather, of_a_task_that_awaits_work_cancelled_elsewhere_fails_and_leaves_its_caller_alone) {
  state s;
  auto main = [](state& st) -> task<> {
    future<void> elsewhere = spawn(wait_for_ever(st));
    auto cancel_soon = [](future<void>& f) -> task<> {
      co_await test::let_others_run();
      f.cancel();
    };
    try {
      co_await gather(await_future(elsewhere), wait_for_ever(st), cancel_soon(elsewhere));
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
    EXPECT_EQ(st.cancelled, 2);
    co_await yield();
  };
  run(main(s));
}

TEST(gather, caller_can_be_cancelled_in_what_follows) {
  state s;
  auto nothing = []() -> task<> { co_return; };
  auto work = [](state& st, auto& none) -> task<> {
    co_await gather(none(), none());
    co_await wait_for_ever(st);
  };
  EXPECT_THROW(run(spawn_and_cancel(work(s, nothing))), cancelled);
  EXPECT_EQ(s.cancelled, 1);
}

TEST(gather, results_of_those_that_ended_are_destroyed_when_another_fails) {
  state s;
  const auto shared = std::make_shared<int>(1);
  auto give = [](std::shared_ptr<int> p) -> task<std::shared_ptr<int>> { co_return p; };
  auto fail = [](const std::shared_ptr<int>& p, state& st) -> task<std::shared_ptr<int>> {
    co_await test::let_others_run();
    EXPECT_EQ(p.use_count(), 3) << "one is kept as a result, besides the two of this test";
    co_await fail_when_told(st);
    co_return nullptr;
  };
  auto main = [](state& st, std::shared_ptr<int> p, auto& ok, auto& bad) -> task<> {
    st.go.set();
    try {
      co_await gather(ok(p), bad(p, st));
      ADD_FAILURE();
    } catch (const std::out_of_range&) {
    }
    EXPECT_EQ(p.use_count(), 2);
  };
  run(main(s, shared, give, fail));
  EXPECT_EQ(shared.use_count(), 1);
}

TEST(gather, of_ready_tasks_many_times_uses_a_bounded_stack) {
  auto give = [](int n) -> task<int> { co_return n; };
  auto main = [](auto& one) -> task<long> {
    long sum = 0;
    for (int i = 0; i < 20'000; ++i) {
      auto [a, b] = co_await gather(one(1), one(2));
      sum += a + b;
    }
    co_return sum;
  };
  EXPECT_EQ(run(main(give)), 60'000);
}

task<int> gathered_chain(int depth) {
  if (depth == 0)
    co_return 0;
  auto [below] = co_await gather(gathered_chain(depth - 1));
  co_return below + 1;
}

TEST(gather, nested_ten_thousand_deep_does_not_overflow_the_stack) {
  EXPECT_EQ(run(gathered_chain(10'000)), 10'000);
}

task<long> sum_of(int first, int end) {
  if (end - first == 1)
    co_return first;
  const int middle = first + (end - first) / 2;
  auto [left, right] = co_await gather(sum_of(first, middle), sum_of(middle, end));
  co_return left + right;
}

TEST(gather, in_both_halves_at_every_level_adds_up) { EXPECT_EQ(run(sum_of(0, 4096)), 4096L * 4095 / 2); }

} // namespace
} // namespace fourfold
