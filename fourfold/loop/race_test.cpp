#include <fourfold/base/errors.hpp>
#include <fourfold/base/lost_error.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/race.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/queue.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <type_traits>
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

task<int> fail_after(int yields, std::string text) {
  co_await test::let_others_run(yields);
  throw std::out_of_range(text);
}

struct loser_log {
  event forever;
  int cancelled = 0;
  int cleaned_up = 0;
};

task<int> lose(loser_log& log) {
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

TEST(race, first_that_ends_wins_and_the_losers_are_cancelled_and_waited_for) {
  loser_log log;
  auto body = [&]() -> task<> {
    const auto first = co_await race(lose(log), give_after(3, 7), lose(log));
    EXPECT_EQ(first.index(), 1U);
    EXPECT_EQ(std::get<1>(first), 7);
    EXPECT_EQ(log.cancelled, 2);
    EXPECT_EQ(log.cleaned_up, 2);
    co_await yield(); // the caller is not cancelled
  };
  run(body());
}

TEST(race, over_a_range_says_who_has_won) {
  auto make = [](int i) { return give_after(i == 5 ? 2 : 9, i); };
  const race_result<int> first = run(race(std::views::iota(4, 8) | std::views::transform(make)));
  EXPECT_EQ(first.index, 1U);
  EXPECT_EQ(first.value, 5);
  std::vector<task<>> nothing;
  nothing.push_back(test::let_others_run(1));
  EXPECT_EQ(run(race(std::move(nothing))).index, 0U);
}

TEST(race, of_nobody_is_an_error) { EXPECT_THROW(run(race(std::vector<task<int>>())), error); }

TEST(race, of_one_gives_what_it_gives) {
  EXPECT_EQ(std::get<0>(run(race(give_after(1, 3)))), 3);
  EXPECT_THROW(run(race(fail_after(1, "alone"))), std::out_of_range);
}

TEST(race, of_void_references_and_move_only_results) {
  static int variable = 0;
  auto reference = [](int yields) -> task<int&> {
    co_await test::let_others_run(yields);
    co_return variable;
  };
  auto owner = [](int yields) -> task<std::unique_ptr<int>> {
    co_await test::let_others_run(yields);
    co_return std::make_unique<int>(5);
  };
  auto none = test::let_others_run(1);
  const auto void_won = run(race(reference(5), owner(5), std::move(none)));
  static_assert(
      std::is_same_v<decltype(void_won), const std::variant<int*, std::unique_ptr<int>, std::monostate>>);
  EXPECT_EQ(void_won.index(), 2U);
  EXPECT_EQ(std::get<0>(run(race(reference(0), owner(5)))), &variable);
  EXPECT_EQ(*std::get<1>(run(race(reference(5), owner(0)))), 5);
  std::vector<task<int&>> references;
  references.push_back(reference(4));
  references.push_back(reference(1));
  const race_result<int&> referred = run(race(std::move(references)));
  EXPECT_EQ(referred.index, 1U);
  EXPECT_EQ(&referred.value, &variable);
}

TEST(race, of_two_that_end_in_one_turn_is_won_by_the_one_that_ends_first) {
  const test::in_order_of_readiness in_order("of two in one turn the one that ends first wins");
  event e;
  auto wait_then_give = [](event& opened, int value) -> task<int> {
    co_await opened.async_wait();
    co_return value;
  };
  auto body = [&]() -> task<> {
    auto racing = spawn(race(wait_then_give(e, 1), wait_then_give(e, 2)));
    co_await test::let_others_run();
    e.set(); // both are ready from here on
    const auto first = co_await racing;
    EXPECT_EQ(first.index(), 0U);
    EXPECT_EQ(std::get<0>(first), 1);
  };
  run(body());
}

TEST(race, won_at_once_starts_the_others_all_the_same_and_ends_them) {
  loser_log log;
  const auto first = run(race(give_after(0, 1), lose(log)));
  EXPECT_EQ(first.index(), 0U);
  EXPECT_EQ(log.cancelled, 1);
  EXPECT_EQ(log.cleaned_up, 1);
}

TEST(race, throws_what_the_first_one_throws) {
  loser_log log;
  EXPECT_THROW(run(race(lose(log), fail_after(2, "first"), give_after(9, 1))), std::out_of_range);
  EXPECT_EQ(log.cleaned_up, 1);
  std::vector<task<int>> works;
  works.push_back(give_after(9, 1));
  works.push_back(fail_after(2, "first"));
  EXPECT_THROW(run(race(std::move(works))), std::out_of_range);
}

int lost_errors = 0;
void count_lost(const std::exception_ptr& lost, std::string_view) noexcept {
  try {
    std::rethrow_exception(lost);
  } catch (const std::out_of_range&) {
    ++lost_errors;
  } catch (...) {
    lost_errors += 1000;
  }
}

TEST(race, losers_that_fail_are_told_of_and_not_thrown) {
  lost_errors = 0;
  const lost_error_handler before = set_lost_error_handler(&count_lost);
  auto fail_when_cancelled = [](event& forever) -> task<int> {
    try {
      co_await forever.async_wait();
    } catch (const cancelled&) {
      throw std::out_of_range("while cleaning up");
    }
    co_return 0;
  };
  loser_log log;
  event forever;
  EXPECT_EQ(std::get<0>(run(race(give_after(1, 4), fail_when_cancelled(forever), lose(log)))), 4);
  set_lost_error_handler(before);
  EXPECT_EQ(lost_errors, 1);
}

TEST(race, cancelled_from_outside_cancels_everybody_and_waits) {
  loser_log log;
  EXPECT_THROW(run(timeout(1ms, race(lose(log), lose(log)))), timed_out);
  EXPECT_EQ(log.cancelled, 2);
  EXPECT_EQ(log.cleaned_up, 2);
}

task<int> lose_slowly(event& forever, event& clean_up_begun, event& may_end) {
  try {
    co_await forever.async_wait();
  } catch (const cancelled&) {
  }
  clean_up_begun.set();
  auto waiting = may_end.async_wait();
  co_await shield(std::move(waiting));
  co_await yield(); // throws again
  co_return 0;
}

// What the winner took out of a queue would be gone otherwise.
TEST(race, result_is_not_lost_to_a_cancellation_that_comes_while_the_losers_clean_up) {
  queue<int> items;
  event forever, begun, may_end;
  auto body = [&]() -> task<> {
    future<std::variant<int, int>> racing =
        spawn(race(lose_slowly(forever, begun, may_end), items.async_get()));
    co_await test::let_others_run();
    items.put(6);
    co_await begun.async_wait();
    racing.cancel();
    co_await test::let_others_run();
    EXPECT_FALSE(racing.ready());
    may_end.set();
    const auto won = co_await racing;
    EXPECT_EQ(won.index(), 1U);
    EXPECT_EQ(std::get<1>(won), 6);
  };
  run(body());
}

TEST(race, one_that_returns_although_it_was_cancelled_from_outside_wins) {
  event forever;
  auto give_up = [](event& e) -> task<int> {
    bool cut_short = false;
    try {
      co_await e.async_wait();
    } catch (const cancelled&) {
      cut_short = true;
    }
    co_await shield(test::let_others_run(3));
    co_return cut_short ? 8 : 0;
  };
  auto wait_only = [](event& e) -> task<int> {
    co_await e.async_wait();
    co_return 1;
  };
  const auto won = run(timeout(1ms, race(wait_only(forever), give_up(forever))));
  EXPECT_EQ(won.index(), 1U);
  EXPECT_EQ(std::get<1>(won), 8);
}

TEST(race, won_by_work_that_was_cancelled_elsewhere_throws_and_leaves_its_caller_alone) {
  event forever;
  loser_log log;
  auto body = [&]() -> task<> {
    auto work = [](event& e) -> task<int> {
      co_await e.async_wait();
      co_return 1;
    };
    future<int> elsewhere = spawn(work(forever));
    auto racing = spawn(race(elsewhere, lose(log)));
    co_await test::let_others_run();
    elsewhere.cancel();
    bool thrown = false;
    try {
      co_await racing;
    } catch (const cancelled&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    EXPECT_EQ(log.cleaned_up, 1);
    co_await yield();
  };
  run(body());
}

TEST(race, takes_operations_and_futures_and_a_loser_s_queue_keeps_its_item) {
  queue<int> first;
  queue<int> second;
  promise<int> never_set;
  future<int> waiting = never_set.get_future();
  auto body = [&]() -> task<> {
    second.put(2);
    const auto won = co_await race(first.async_get(), second.async_get(), waiting);
    EXPECT_EQ(won.index(), 1U);
    EXPECT_EQ(std::get<1>(won), 2);
    EXPECT_TRUE(waiting.valid());
    first.put(1);
    EXPECT_EQ(co_await first.async_get(), 1);
  };
  run(body());
}

TEST(race, nests) {
  loser_log log;
  const auto won = run(race(race(lose(log), lose(log)), race(lose(log), give_after(2, 9))));
  ASSERT_EQ(won.index(), 1U);
  EXPECT_EQ(std::get<1>(std::get<1>(won)), 9);
  EXPECT_EQ(log.cleaned_up, 3);
}

TEST(race, a_task_that_was_moved_from_is_an_error_and_starts_nobody) {
  bool started = false;
  auto start = [](bool& noted) -> task<> {
    noted = true;
    co_return;
  };
  task<> gone = start(started);
  const task<> taken = std::move(gone);
  EXPECT_THROW(run(race(start(started), std::move(gone))), error);
  std::vector<task<>> works;
  works.push_back(start(started));
  works.push_back(std::move(gone));
  EXPECT_THROW(run(race(std::move(works))), error);
  EXPECT_FALSE(started);
}

} // namespace
} // namespace fourfold
