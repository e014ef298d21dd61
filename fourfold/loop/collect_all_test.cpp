#include <fourfold/base/errors.hpp>
#include <fourfold/loop/exception_group.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/queue.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <expected>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<int> give_after(int yields, int value) {
  co_await test::let_others_run(yields);
  co_return value;
}

task<int> fail_after(int yields) {
  co_await test::let_others_run(yields);
  throw std::out_of_range("one of them");
}

template <class E, class T>
bool failed_with(const std::expected<T, std::exception_ptr>& one) {
  if (one)
    return false;
  try {
    std::rethrow_exception(one.error());
  } catch (const E&) {
    return true;
  } catch (...) {
    return false;
  }
}

struct endings {
  event forever;
  int cancelled = 0;
  int cleaned_up = 0;
};

task<int> never_end(endings& log) {
  try {
    co_await log.forever.async_wait();
  } catch (const cancelled&) {
    ++log.cancelled;
  }
  co_await shield(test::let_others_run(5));
  ++log.cleaned_up;
  co_await yield(); // throws again
  co_return 0;
}

TEST(collect_all, failure_cancels_nobody_and_each_has_its_own_outcome) {
  auto [a, b, c] = run(collect_all(give_after(5, 1), fail_after(0), give_after(2, 3)));
  EXPECT_EQ(a.value(), 1);
  EXPECT_TRUE(failed_with<std::out_of_range>(b));
  EXPECT_EQ(c.value(), 3);
}

TEST(collect_all, of_a_range_gives_outcomes_in_its_order) {
  auto make = [](int i) { return i % 3 == 0 ? fail_after(i) : give_after(9 - i, i); };
  const std::vector<outcome<int>> all =
      run(collect_all(std::views::iota(0, 9) | std::views::transform(make)));
  ASSERT_EQ(all.size(), 9U);
  for (int i = 0; i < 9; ++i) {
    const outcome<int>& one = all[static_cast<std::size_t>(i)];
    EXPECT_EQ(failed_with<std::out_of_range>(one), i % 3 == 0);
    EXPECT_TRUE(i % 3 == 0 || one.value() == i);
  }
}

TEST(collect_all, of_nothing_returns_at_once) {
  EXPECT_EQ(run(collect_all()), std::tuple<>());
  EXPECT_TRUE(run(collect_all(std::vector<task<int>>())).empty());
}

TEST(collect_all, of_one) {
  EXPECT_EQ(std::get<0>(run(collect_all(give_after(1, 2)))).value(), 2);
  EXPECT_TRUE(failed_with<std::out_of_range>(std::get<0>(run(collect_all(fail_after(1))))));
}

TEST(collect_all, takes_void_references_and_move_only_results) {
  static int variable = 0;
  auto reference = []() -> task<int&> { co_return variable; };
  auto owner = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
  auto none = []() -> task<> { co_return; };
  auto [n, r, o] = run(collect_all(none(), reference(), owner()));
  static_assert(std::is_same_v<decltype(n), outcome<void>>);
  EXPECT_TRUE(n.has_value());
  EXPECT_EQ(r.value(), &variable);
  EXPECT_EQ(**o, 5);
  std::vector<task<int&>> references;
  references.push_back(reference());
  EXPECT_EQ(run(collect_all(std::move(references))).at(0).value(), &variable);
}

// The value is an exception_ptr here, and so is the error.
TEST(collect_all, result_that_is_itself_an_exception_is_no_failure) {
  auto work = []() -> task<std::exception_ptr> {
    co_return std::make_exception_ptr(std::out_of_range("returned"));
  };
  auto [one] = run(collect_all(work()));
  ASSERT_TRUE(one.has_value());
  EXPECT_THROW(std::rethrow_exception(*one), std::out_of_range);
}

TEST(collect_all, one_that_was_cancelled_elsewhere_is_an_outcome_like_any_other) {
  endings log;
  auto body = [&]() -> task<> {
    future<int> elsewhere = spawn(never_end(log));
    auto collecting = spawn(collect_all(elsewhere, give_after(20, 1)));
    co_await test::let_others_run(3);
    elsewhere.cancel();
    auto [first, second] = co_await collecting;
    EXPECT_TRUE(failed_with<cancelled>(first));
    EXPECT_EQ(second.value(), 1);
    co_await yield(); // the caller is not cancelled
  };
  run(body());
}

TEST(collect_all, cancelled_from_outside_while_some_have_failed_cancels_the_rest_and_waits) {
  endings log;
  auto body = [&]() -> task<> {
    auto collecting = collect_all(fail_after(0), never_end(log), give_after(0, 1), never_end(log));
    co_await timeout(1ms, std::move(collecting));
  };
  EXPECT_THROW(run(body()), timed_out);
  EXPECT_EQ(log.cancelled, 2);
  EXPECT_EQ(log.cleaned_up, 2);
}

TEST(collect_all, outcomes_that_were_there_before_the_cancellation_are_not_lost) {
  queue<int> items;
  auto body = [&]() -> task<> {
    auto collecting = spawn(collect_all(items.async_get(), fail_after(0)));
    co_await test::let_others_run();
    items.put(5);
    collecting.cancel();
    auto [item, failure] = co_await collecting;
    EXPECT_EQ(item.value(), 5);
    EXPECT_TRUE(failed_with<std::out_of_range>(failure));
  };
  run(body());
}

TEST(collect_all, nests) {
  auto [inner, single] = run(collect_all(collect_all(fail_after(1), give_after(2, 1)), give_after(1, 2)));
  ASSERT_TRUE(inner.has_value());
  EXPECT_TRUE(failed_with<std::out_of_range>(std::get<0>(*inner)));
  EXPECT_EQ(std::get<1>(*inner).value(), 1);
  EXPECT_EQ(single.value(), 2);
  auto [whole] = run(collect_all(gather(fail_after(1), give_after(2, 1))));
  EXPECT_TRUE(failed_with<std::out_of_range>(whole));
}

TEST(collect_all, takes_futures_and_operations_beside_tasks) {
  queue<int> items;
  items.put(3);
  promise<int> set_elsewhere;
  future<int> lvalue = set_elsewhere.get_future();
  promise<int> broken;
  future<int> to_break = broken.get_future();
  std::jthread other([p = std::move(set_elsewhere)]() mutable { p.set_value(1); });
  {
    const promise<int> gone = std::move(broken);
  }
  auto [a, b, c] = run(collect_all(lvalue, std::move(to_break), items.async_get()));
  EXPECT_EQ(a.value(), 1);
  EXPECT_TRUE(failed_with<broken_promise>(b));
  EXPECT_EQ(c.value(), 3);
  EXPECT_FALSE(lvalue.valid()); // its result was taken
}

TEST(gather_of_ranges, takes_views_futures_and_lists) {
  auto make = [](int i) { return give_after(3 - i, i); };
  EXPECT_EQ(run(gather(std::views::iota(0, 4) | std::views::transform(make))), (std::vector{0, 1, 2, 3}));

  std::vector<future<int>> futures;
  futures.push_back(make_ready_future<int>(4));
  futures.push_back(make_ready_future<int>(5));
  EXPECT_EQ(run(gather(futures)), (std::vector{4, 5})); // an lvalue's elements are moved from, too
  EXPECT_FALSE(futures[0].valid());

  auto odd = std::views::iota(0, 6) | std::views::filter([](int i) { return i % 2 == 1; }) |
             std::views::transform(make);
  EXPECT_EQ(run(gather(odd)), (std::vector{1, 3, 5}));
}

} // namespace
} // namespace fourfold
