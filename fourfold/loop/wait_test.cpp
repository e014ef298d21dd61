#include <fourfold/base/errors.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/wait.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using indices = std::vector<std::size_t>;

// g++ 12 refuses a braced list beside a co_await.
template <class... I>
indices these(I... i) {
  return {static_cast<std::size_t>(i)...};
}

struct calls {
  explicit calls(std::size_t count) : promises(count) {
    for (auto& p : promises)
      futures.push_back(p.get_future());
  }
  void fail(std::size_t which) {
    promises[which].set_exception(std::make_exception_ptr(std::out_of_range("one of them")));
  }
  std::vector<promise<int>> promises;
  std::vector<future<int>> futures;
};

TEST(wait, for_all_returns_when_the_last_is_ready_and_takes_no_result) {
  calls c(3);
  auto body = [&]() -> task<> {
    future<indices> waiting = spawn(wait(c.futures));
    for (std::size_t i : {2U, 0U}) {
      c.promises[i].set_value(static_cast<int>(i));
      co_await test::let_others_run();
      EXPECT_FALSE(waiting.ready());
    }
    c.fail(1); // a failure is an end like any other
    EXPECT_EQ(co_await waiting, these(0, 1, 2));
    EXPECT_EQ(c.futures[2].get(), 2);
    EXPECT_THROW(c.futures[1].get(), std::out_of_range);
  };
  run(body());
}

TEST(wait, for_the_first_returns_its_index_and_the_others_go_on) {
  calls c(3);
  auto body = [&]() -> task<> {
    future<indices> waiting = spawn(wait(c.futures, return_when::first_completed));
    co_await test::let_others_run();
    EXPECT_FALSE(waiting.ready());
    c.promises[1].set_value(5);
    EXPECT_EQ(co_await waiting, these(1));
    EXPECT_EQ(c.futures[1].get(), 5);
    c.promises[0].set_value(6); // nobody has cancelled it
    EXPECT_EQ(co_await c.futures[0], 6);
    EXPECT_FALSE(c.futures[2].ready());
  };
  run(body());
}

TEST(wait, for_the_first_failure_passes_over_results) {
  calls c(3);
  auto body = [&]() -> task<> {
    future<indices> waiting = spawn(wait(c.futures, return_when::first_failed));
    c.promises[2].set_value(5);
    co_await test::let_others_run();
    EXPECT_FALSE(waiting.ready());
    c.fail(0);
    EXPECT_EQ(co_await waiting, these(0, 2));
    EXPECT_FALSE(c.futures[1].ready());
    EXPECT_THROW(c.futures[0].get(), std::out_of_range);
  };
  run(body());
}

TEST(wait, for_the_first_failure_returns_when_all_are_ready_without_one) {
  calls c(2);
  auto body = [&]() -> task<> {
    future<indices> waiting = spawn(wait(c.futures, return_when::first_failed));
    co_await test::let_others_run();
    c.promises[0].set_value(1);
    c.promises[1].set_value(2);
    EXPECT_EQ(co_await waiting, these(0, 1));
  };
  run(body());
}

TEST(wait, names_all_that_became_ready_in_one_turn) {
  calls c(3);
  auto body = [&]() -> task<> {
    future<indices> waiting = spawn(wait(c.futures, return_when::first_completed));
    co_await test::let_others_run();
    c.promises[2].set_value(1);
    c.promises[0].set_value(1);
    EXPECT_EQ(co_await waiting, these(0, 2));
  };
  run(body());
}

TEST(wait, for_what_is_ready_already_does_not_suspend) {
  calls c(2);
  auto others_ran = [](bool& ran) -> task<> {
    ran = true;
    co_return;
  };
  bool ran = false;
  auto body = [&]() -> task<> {
    const future<void> other = spawn(others_ran(ran));
    c.promises[1].set_value(1);
    EXPECT_EQ(co_await wait(c.futures, return_when::first_completed), these(1));
    c.fail(0);
    EXPECT_EQ(co_await wait(c.futures), these(0, 1));
    EXPECT_EQ(co_await wait(c.futures, return_when::first_failed), these(0, 1));
    EXPECT_FALSE(ran);
  };
  run(body());
}

TEST(wait, for_nothing_returns_at_once) {
  std::vector<future<int>> none;
  for (const auto when :
       {return_when::all_completed, return_when::first_completed, return_when::first_failed})
    EXPECT_TRUE(run(wait(none, when)).empty());
}

TEST(wait, takes_a_part_of_the_futures_as_a_span) {
  calls c(3);
  c.promises[1].set_value(1);
  EXPECT_EQ(run(wait(std::span(c.futures).subspan(1, 1))), these(0));
}

TEST(wait, limit_that_passes_leaves_the_work_running_and_the_futures_free_to_be_awaited) {
  event go_on;
  auto work = [](event& e) -> task<int> {
    co_await e.async_wait();
    co_return 4;
  };
  auto body = [&]() -> task<> {
    std::vector<future<int>> futures;
    futures.push_back(spawn(work(go_on)));
    futures.push_back(spawn(work(go_on)));
    bool out_of_time = false;
    try {
      co_await timeout(1ms, wait(futures));
    } catch (const timed_out&) {
      out_of_time = true;
    }
    EXPECT_TRUE(out_of_time);
    go_on.set();
    EXPECT_EQ(co_await futures[0], 4); // was not cancelled, and nobody waits on it any more
    EXPECT_EQ(co_await futures[1], 4);
  };
  run(body());
}

TEST(wait, cancelled_does_not_cancel_what_it_waits_for) {
  calls c(2);
  auto body = [&]() -> task<> {
    future<indices> waiting = spawn(wait(c.futures, return_when::first_completed));
    co_await test::let_others_run();
    EXPECT_TRUE(waiting.cancel());
    bool was_cancelled = false;
    try {
      co_await waiting;
    } catch (const cancelled&) {
      was_cancelled = true;
    }
    EXPECT_TRUE(was_cancelled);
    c.promises[0].set_value(3);
    EXPECT_EQ(co_await c.futures[0], 3);
  };
  run(body());
}

TEST(wait, on_a_future_that_somebody_waits_on_is_an_error_and_disturbs_nobody) {
  calls c(2);
  auto await_it = [](future<int>& f) -> task<int> { co_return co_await f; };
  auto body = [&]() -> task<> {
    future<int> first = spawn(await_it(c.futures[0]));
    co_await test::let_others_run();
    bool refused = false;
    try {
      co_await wait(c.futures);
    } catch (const error&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
    c.promises[0].set_value(1);
    EXPECT_EQ(co_await first, 1);
    c.promises[1].set_value(2);
    EXPECT_EQ(co_await c.futures[1], 2);
  };
  run(body());
}

TEST(wait, on_a_future_whose_result_was_taken_is_an_error) {
  calls c(2);
  c.promises[0].set_value(1);
  EXPECT_EQ(c.futures[0].get(), 1);
  EXPECT_THROW(run(wait(c.futures)), error);
}

TEST(wait, for_futures_that_other_threads_set_while_it_begins_and_ends_misses_none) {
  for (int round = 0; round < 200; ++round) {
    calls c(8);
    std::jthread even([&] {
      for (std::size_t i = 0; i < 8; i += 2)
        c.promises[i].set_value(1);
    });
    std::jthread odd([&] {
      for (std::size_t i = 1; i < 8; i += 2)
        c.promises[i].set_value(1);
    });
    auto body = [&]() -> task<> {
      const indices some = co_await wait(c.futures, return_when::first_completed);
      EXPECT_FALSE(some.empty());
      EXPECT_EQ((co_await wait(c.futures)).size(), 8U);
    };
    run(body());
    for (auto& f : c.futures)
      EXPECT_EQ(f.get(), 1);
  }
}

TEST(wait, for_ten_thousand_futures_one_after_another) {
  calls c(10'000);
  auto body = [&]() -> task<> {
    future<indices> waiting = spawn(wait(c.futures));
    co_await test::let_others_run(3);
    for (auto& p : c.promises)
      p.set_value(1);
    EXPECT_EQ((co_await waiting).size(), 10'000U);
  };
  run(body());
}

} // namespace
} // namespace fourfold
