#include <fourfold/base/errors.hpp>
#include <fourfold/loop/exception_group.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/queue.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<int> give_after(int yields, int value) {
  co_await test::let_others_run(yields);
  co_return value;
}

task<> note(std::vector<int>& order, int number) {
  order.push_back(number);
  co_await yield();
  order.push_back(number);
}

TEST(gather, returns_results_in_order_of_the_arguments_whatever_ends_first) {
  auto body = []() -> task<> {
    auto [a, b, c] = co_await gather(give_after(3, 1), give_after(0, 2), give_after(1, 3));
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, 2);
    EXPECT_EQ(c, 3);
    std::vector<task<int>> tasks;
    for (int i = 0; i < 10; ++i)
      tasks.push_back(give_after(10 - i, i));
    const auto results = co_await gather(std::move(tasks));
    EXPECT_EQ(results, (std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  };
  run(body());
}

TEST(gather, starts_its_tasks_in_order_of_the_arguments) {
  const test::in_order_of_readiness kept("children start in the order of the arguments");
  std::vector<int> order;
  run(gather(note(order, 1), note(order, 2), note(order, 3)));
  EXPECT_EQ(order, (std::vector{1, 2, 3, 1, 2, 3}));
}

TEST(gather, of_nothing_returns_at_once) {
  EXPECT_EQ(run(gather()), std::tuple<>());
  EXPECT_TRUE(run(gather(std::vector<task<int>>())).empty());
  run(gather(std::vector<task<>>()));
}

TEST(gather, takes_void_references_and_move_only_results) {
  static int variable = 0;
  auto reference = []() -> task<int&> { co_return variable; };
  auto owner = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
  auto none = []() -> task<> { co_return; };
  auto [n, r, o] = run(gather(none(), reference(), owner()));
  static_assert(std::is_same_v<decltype(n), std::monostate>);
  EXPECT_EQ(&r, &variable);
  EXPECT_EQ(*o, 5);
  std::vector<task<std::unique_ptr<int>>> owners;
  owners.push_back(owner());
  EXPECT_EQ(*run(gather(std::move(owners))).at(0), 5);
}

struct outcomes {
  int cancelled = 0;
  int cleaned_up = 0;
  event forever;
};

task<int> wait_for_ever(outcomes& o) {
  try {
    co_await o.forever.async_wait();
  } catch (const cancelled&) {
    ++o.cancelled;
  }
  co_await shield(test::let_others_run(5));
  ++o.cleaned_up;
  co_await yield(); // throws again
  co_return 0;
}

task<int> fail_after(int yields, std::string text) {
  co_await test::let_others_run(yields);
  throw std::out_of_range(text);
}

TEST(gather, first_failure_cancels_the_others_waits_for_them_and_is_thrown_as_itself) {
  outcomes o;
  auto body = [](outcomes& out) -> task<> {
    try {
      co_await gather(wait_for_ever(out), fail_after(1, "first"), wait_for_ever(out));
      ADD_FAILURE();
    } catch (const std::out_of_range& e) {
      EXPECT_STREQ(e.what(), "first");
    }
    EXPECT_EQ(out.cancelled, 2);
    EXPECT_EQ(out.cleaned_up, 2);
    co_await yield(); // this task itself was not cancelled
  };
  run(body(o));
}

TEST(gather, several_failures_come_as_a_group_that_names_each) {
  auto fail_when_cancelled = [](event& forever) -> task<int> {
    try {
      co_await forever.async_wait();
    } catch (const cancelled&) {
      throw std::invalid_argument("while cleaning up");
    }
    co_return 0;
  };
  event forever;
  try {
    run(gather(fail_when_cancelled(forever), fail_after(1, "first")));
    ADD_FAILURE();
  } catch (const exception_group& group) {
    ASSERT_EQ(group.exceptions().size(), 2U);
    EXPECT_THROW(std::rethrow_exception(group.exceptions()[0]), std::out_of_range);
    EXPECT_THROW(std::rethrow_exception(group.exceptions()[1]), std::invalid_argument);
    EXPECT_STREQ(group.what(), "2 failures:\n  first\n  while cleaning up");
  }
}

TEST(gather, failure_before_the_others_have_started_still_starts_and_ends_them) {
  outcomes o;
  EXPECT_THROW(run(gather(fail_after(0, "at once"), wait_for_ever(o))), std::out_of_range);
  EXPECT_EQ(o.cancelled, 1);
}

TEST(gather, cancelled_from_outside_cancels_its_tasks_and_waits_for_them) {
  outcomes o;
  EXPECT_THROW(run(timeout(1ms, gather(wait_for_ever(o), wait_for_ever(o)))), timed_out);
  EXPECT_EQ(o.cancelled, 2);
  EXPECT_EQ(o.cleaned_up, 2);
}

// The cancellation comes when all results are there and the gatherer is queued to take them.
TEST(gather, results_that_were_there_before_the_cancellation_are_not_lost) {
  const test::in_order_of_readiness kept(
      "it cancels between the end of the children and the turn of who gathers");
  struct state {
    queue<int> items;
    future<std::tuple<int, int>> gathering;
  } s;
  auto take_two = [](state& st) -> task<std::tuple<int, int>> {
    auto take = [](queue<int>& q) -> task<int> { co_return co_await q.async_get(); };
    co_return co_await gather(take(st.items), take(st.items));
  };
  auto body = [](state& st, auto& take) -> task<> {
    st.gathering = spawn(take(st));
    co_await test::let_others_run();
    st.items.put(1);
    st.items.put(2);
    co_await yield(); // both children have their item and have ended; the gatherer stands behind this task
    st.gathering.cancel();
    EXPECT_EQ(co_await st.gathering, std::tuple(1, 2));
  };
  run(body(s, take_two));
}

TEST(gather, nests) {
  auto sum = [](int base) -> task<int> {
    auto [a, b] = co_await gather(give_after(1, base), give_after(2, base + 1));
    co_return a + b;
  };
  auto [x, y] = run(gather(sum(0), sum(10)));
  EXPECT_EQ(x, 1);
  EXPECT_EQ(y, 21);
}

TEST(gather, failure_inside_of_a_nested_one_cancels_the_outer_one) {
  outcomes o;
  auto inner = [](outcomes& out) -> task<int> {
    co_await gather(wait_for_ever(out), fail_after(2, "inner"));
    co_return 0;
  };
  EXPECT_THROW(run(gather(wait_for_ever(o), inner(o))), std::out_of_range);
  EXPECT_EQ(o.cancelled, 2);
}

TEST(gather, of_ten_thousand_tasks_returns_every_result) {
  std::vector<task<int>> tasks;
  for (int i = 0; i < 10'000; ++i)
    tasks.push_back(give_after(i % 3, i));
  const auto results = run(gather(std::move(tasks)));
  ASSERT_EQ(results.size(), 10'000U);
  for (int i = 0; i < 10'000; ++i)
    EXPECT_EQ(results[static_cast<std::size_t>(i)], i);
}

} // namespace
} // namespace fourfold
