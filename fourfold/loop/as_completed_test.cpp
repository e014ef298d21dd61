#include <fourfold/base/errors.hpp>
#include <fourfold/base/lost_error.hpp>
#include <fourfold/loop/as_completed.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/queue.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <ranges>
#include <stdexcept>
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

struct leftovers {
  event forever;
  int cancelled = 0;
  int cleaned_up = 0;
};

task<int> never_end(leftovers& log) {
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

template <class... W>
std::vector<task<int>> works(W... work) {
  std::vector<task<int>> all;
  (all.push_back(std::move(work)), ...);
  return all;
}

TEST(as_completed, gives_them_in_the_order_in_which_they_end) {
  std::vector<std::size_t> indices;
  std::vector<int> values;
  auto body = [&](completions<int>& ended) -> task<> {
    EXPECT_EQ(ended.remaining(), 3U);
    while (auto one = co_await ended.next()) {
      indices.push_back(one->index());
      values.push_back(one->get());
    }
    EXPECT_EQ(ended.remaining(), 0U);
    EXPECT_FALSE((co_await ended.next()).has_value()); // and so it stays
  };
  run(as_completed(works(give_after(9, 1), give_after(2, 2), give_after(5, 3)), body));
  EXPECT_EQ(indices, (std::vector<std::size_t>{1, 2, 0}));
  EXPECT_EQ(values, (std::vector{2, 3, 1}));
}

TEST(as_completed, of_nothing_has_nothing_and_runs_its_body) {
  auto body = [](completions<int>& ended) -> task<int> {
    EXPECT_EQ(ended.remaining(), 0U);
    EXPECT_FALSE((co_await ended.next()).has_value());
    co_return 5;
  };
  EXPECT_EQ(run(as_completed(std::vector<task<int>>(), body)), 5);
}

TEST(as_completed, those_that_ended_before_the_first_is_asked_for_come_in_their_order) {
  std::vector<std::size_t> indices;
  auto body = [&](completions<int>& ended) -> task<> {
    co_await test::let_others_run(50);
    while (auto one = co_await ended.next())
      indices.push_back(one->index());
  };
  run(as_completed(works(give_after(9, 1), give_after(2, 2)), body));
  EXPECT_EQ(indices, (std::vector<std::size_t>{1, 0}));
}

TEST(as_completed, those_that_end_in_one_turn_come_in_the_order_of_their_ends) {
  const test::in_order_of_readiness in_order("those that end in one turn come in the order of their ends");
  event e;
  auto wait_then_give = [](event& opened, int value) -> task<int> {
    co_await opened.async_wait();
    co_return value;
  };
  std::vector<std::size_t> indices;
  auto body = [&](completions<int>& ended) -> task<> {
    co_await test::let_others_run();
    e.set();
    while (auto one = co_await ended.next())
      indices.push_back(one->index());
  };
  run(as_completed(works(wait_then_give(e, 1), wait_then_give(e, 2), wait_then_give(e, 3)), body));
  EXPECT_EQ(indices, (std::vector<std::size_t>{0, 1, 2}));
}

TEST(as_completed, failed_one_throws_when_its_result_is_taken_and_the_rest_can_still_be_had) {
  int failures = 0;
  int sum = 0;
  auto body = [&](completions<int>& ended) -> task<> {
    while (auto one = co_await ended.next()) {
      try {
        sum += one->get();
      } catch (const std::out_of_range&) {
        ++failures;
        EXPECT_EQ(one->index(), 0U);
      }
    }
  };
  run(as_completed(works(fail_after(1), give_after(4, 20), give_after(2, 1)), body));
  EXPECT_EQ(failures, 1);
  EXPECT_EQ(sum, 21);
}

TEST(as_completed, failure_that_leaves_the_body_is_thrown_after_the_rest_have_cleaned_up) {
  leftovers log;
  auto body = [&](completions<int>& ended) -> task<> {
    while (auto one = co_await ended.next())
      one->get();
  };
  EXPECT_THROW(run(as_completed(works(never_end(log), fail_after(2)), body)), std::out_of_range);
  EXPECT_EQ(log.cleaned_up, 1);
}

TEST(as_completed, body_that_is_no_coroutine_may_throw) {
  leftovers log;
  auto body = [](completions<int>& ended) -> task<> {
    if (ended.remaining() == 1)
      throw std::invalid_argument("the body");
    return test::let_others_run();
  };
  EXPECT_THROW(run(as_completed(works(never_end(log)), body)), std::invalid_argument);
  EXPECT_EQ(log.cleaned_up, 1);
}

TEST(as_completed, left_early_cancels_the_rest_and_waits_for_them) {
  leftovers log;
  auto body = [&](completions<int>& ended) -> task<int> {
    auto first = co_await ended.next();
    EXPECT_EQ(ended.remaining(), 2U);
    co_return first->get();
  };
  auto outer = [&]() -> task<> {
    const int first = co_await as_completed(works(never_end(log), give_after(2, 6), never_end(log)), body);
    EXPECT_EQ(first, 6);
    EXPECT_EQ(log.cancelled, 2);
    EXPECT_EQ(log.cleaned_up, 2);
    co_await yield(); // the caller is not cancelled
  };
  run(outer());
}

TEST(as_completed, body_may_wait_for_the_first_that_does_not_fail) {
  auto body = [](completions<int>& ended) -> task<int> {
    while (auto one = co_await ended.next()) {
      try {
        co_return one->get();
      } catch (const std::out_of_range&) {
      }
    }
    throw std::runtime_error("all have failed");
  };
  leftovers log;
  EXPECT_EQ(run(as_completed(works(fail_after(1), give_after(4, 2), fail_after(2), never_end(log)), body)),
            2);
  EXPECT_EQ(log.cleaned_up, 1);
  EXPECT_THROW(run(as_completed(works(fail_after(1), fail_after(2)), body)), std::runtime_error);
}

TEST(as_completed, result_is_taken_once) {
  auto body = [](completions<int>& ended) -> task<> {
    auto one = co_await ended.next();
    EXPECT_EQ(one->get(), 4);
    EXPECT_THROW(one->get(), error);
    auto copy = *one;
    EXPECT_THROW(copy.get(), error);
  };
  run(as_completed(works(give_after(1, 4)), body));
}

TEST(as_completed, a_limit_around_next_loses_nobody) {
  event e;
  auto wait_then_give = [](event& opened) -> task<int> {
    co_await opened.async_wait();
    co_return 3;
  };
  auto body = [&](completions<int>& ended) -> task<int> {
    bool out_of_time = false;
    try {
      co_await timeout(1ms, ended.next());
    } catch (const timed_out&) {
      out_of_time = true;
    }
    EXPECT_TRUE(out_of_time);
    EXPECT_EQ(ended.remaining(), 1U);
    e.set();
    auto one = co_await ended.next();
    co_return one->get();
  };
  EXPECT_EQ(run(as_completed(works(wait_then_give(e)), body)), 3);
}

TEST(as_completed, cancelled_from_outside_cancels_body_and_tasks_and_waits) {
  leftovers log;
  int had = 0;
  auto body = [&](completions<int>& ended) -> task<> {
    while (auto one = co_await ended.next())
      ++had;
  };
  EXPECT_THROW(run(timeout(5ms, as_completed(works(never_end(log), give_after(1, 1), never_end(log)), body))),
               timed_out);
  EXPECT_EQ(had, 1);
  EXPECT_EQ(log.cancelled, 2);
  EXPECT_EQ(log.cleaned_up, 2);
}

task<int> clean_up_slowly(event& forever, event& begun, event& may_end) {
  try {
    co_await forever.async_wait();
  } catch (const cancelled&) {
  }
  begun.set();
  auto waiting = may_end.async_wait();
  co_await shield(std::move(waiting));
  co_await yield(); // throws again
  co_return 0;
}

TEST(as_completed, result_of_the_body_is_not_lost_to_a_cancellation_that_comes_while_the_rest_clean_up) {
  event forever, begun, may_end;
  auto body = [](completions<int>& ended) -> task<int> {
    auto first = co_await ended.next();
    co_return first->get();
  };
  auto outer = [&]() -> task<> {
    future<int> first =
        spawn(as_completed(works(clean_up_slowly(forever, begun, may_end), give_after(3, 8)), body));
    co_await begun.async_wait();
    first.cancel();
    co_await test::let_others_run();
    EXPECT_FALSE(first.ready());
    may_end.set();
    EXPECT_EQ(co_await first, 8);
  };
  run(outer());
}

TEST(as_completed, takes_void_references_and_move_only_results) {
  static int variable = 0;
  auto reference = []() -> task<int&> { co_return variable; };
  std::vector<task<int&>> references;
  references.push_back(reference());
  auto take_reference = [](completions<int&>& ended) -> task<int&> {
    auto one = co_await ended.next();
    co_return one->get();
  };
  EXPECT_EQ(&run(as_completed(std::move(references), take_reference)), &variable);

  auto owner = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
  std::vector<task<std::unique_ptr<int>>> owners;
  owners.push_back(owner());
  auto take_owner = [](completions<std::unique_ptr<int>>& ended) -> task<std::unique_ptr<int>> {
    auto one = co_await ended.next();
    co_return one->get();
  };
  EXPECT_EQ(*run(as_completed(std::move(owners), take_owner)), 5);

  int ends = 0;
  auto count = [&](completions<void>& ended) -> task<> {
    while (auto one = co_await ended.next()) {
      one->get();
      ++ends;
    }
  };
  auto make = [](int yields) { return test::let_others_run(yields); };
  run(as_completed(std::views::iota(0, 4) | std::views::transform(make), count));
  EXPECT_EQ(ends, 4);
}

TEST(as_completed, takes_futures_that_are_set_by_another_thread) {
  std::vector<promise<int>> promises(2);
  std::vector<future<int>> futures;
  for (auto& p : promises)
    futures.push_back(p.get_future());
  int sum = 0;
  std::jthread setter;
  auto body = [&](completions<int>& ended) -> task<> {
    setter = std::jthread([&] {
      for (auto& p : promises)
        p.set_value(4);
    });
    while (auto one = co_await ended.next())
      sum += one->get();
  };
  run(as_completed(std::move(futures), body));
  EXPECT_EQ(sum, 8);
}

TEST(as_completed, nests) {
  auto sum = [](completions<int>& ended) -> task<int> {
    int total = 0;
    while (auto one = co_await ended.next())
      total += one->get();
    co_return total;
  };
  std::vector<task<int>> outer;
  for (int i = 0; i < 3; ++i)
    outer.push_back(as_completed(works(give_after(i, 1), give_after(3 - i, 10)), sum));
  EXPECT_EQ(run(as_completed(std::move(outer), sum)), 33);
}

int lost_errors = 0;
void count_lost(const std::exception_ptr&, std::string_view) noexcept { ++lost_errors; }

TEST(as_completed, failures_whose_results_nobody_took_are_told_of) {
  lost_errors = 0;
  const lost_error_handler before = set_lost_error_handler(&count_lost);
  leftovers log;
  auto body = [](completions<int>& ended) -> task<> {
    auto first = co_await ended.next();
    EXPECT_THROW(first->get(), std::out_of_range); // seen
    co_await ended.next();                         // had, and not looked into
  };
  run(as_completed(works(fail_after(1), fail_after(2), never_end(log)), body));
  set_lost_error_handler(before);
  EXPECT_EQ(lost_errors, 1);
}

TEST(as_completed, of_ten_thousand_gives_each_once) {
  constexpr int count = 10'000;
  std::vector<bool> seen(count);
  auto make = [](int i) { return give_after(i % 5, i); };
  auto body = [&](completions<int>& ended) -> task<int> {
    int had = 0;
    while (auto one = co_await ended.next()) {
      const int value = one->get();
      EXPECT_EQ(static_cast<std::size_t>(value), one->index());
      EXPECT_FALSE(seen[one->index()]);
      seen[one->index()] = true;
      ++had;
    }
    co_return had;
  };
  EXPECT_EQ(run(as_completed(std::views::iota(0, count) | std::views::transform(make), body)), count);
}

} // namespace
} // namespace fourfold
