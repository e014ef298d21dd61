#include <fourfold/base/errors.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/future.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

TEST(future, carries_a_value_to_a_thread) {
  promise<std::string> p;
  future<std::string> f = p.get_future();
  EXPECT_TRUE(f.valid());
  EXPECT_FALSE(f.ready());
  std::jthread setter([&] { p.set_value("result"); });
  EXPECT_EQ(f.get(), "result");
  EXPECT_FALSE(f.valid());
}

template <class T>
task<T> await_future(future<T>& f) {
  co_return co_await f;
}

TEST(future, carries_a_value_to_a_coroutine) {
  promise<std::string> p;
  future<std::string> f = p.get_future();
  std::jthread setter([&] { p.set_value("result"); });
  EXPECT_EQ(run(await_future(f)), "result");
  EXPECT_FALSE(f.valid());
}

TEST(future, that_is_ready_needs_no_wait) {
  auto f = make_ready_future<int>(7);
  EXPECT_TRUE(f.ready());
  f.wait();
  f.wait(0s);
  EXPECT_TRUE(f.valid());
  EXPECT_EQ(f.get(0s), 7);
  auto g = make_ready_future<int>(8);
  EXPECT_EQ(run(await_future(g)), 8);
}

TEST(future, carries_void_references_and_move_only_values) {
  promise<void> nothing;
  auto done = nothing.get_future();
  nothing.set_value();
  done.get();

  int variable = 1;
  promise<int&> reference;
  auto referring = reference.get_future();
  reference.set_value(variable);
  EXPECT_EQ(&referring.get(), &variable);

  promise<std::unique_ptr<int>> owner;
  auto owned = owner.get_future();
  owner.set_value(std::make_unique<int>(5));
  EXPECT_EQ(*owned.get(), 5);

  promise<std::pair<int, std::string>> made_in_place;
  auto pair = made_in_place.get_future();
  made_in_place.set_value(1, "one");
  EXPECT_EQ(pair.get().second, "one");
}

TEST(future, carries_an_exception_with_its_type) {
  struct own_error : std::runtime_error {
    using runtime_error::runtime_error;
  };
  promise<int> p;
  auto f = p.get_future();
  p.set_exception(std::make_exception_ptr(own_error("told")));
  try {
    f.get();
    FAIL();
  } catch (const own_error& e) {
    EXPECT_STREQ(e.what(), "told");
  }
  EXPECT_FALSE(f.valid());
}

TEST(future, of_a_destroyed_promise_is_broken) {
  std::optional<promise<int>> p(std::in_place);
  auto f = p->get_future();
  test::parking_threads threads;
  std::jthread waiting = threads.start([&] { EXPECT_THROW(f.get(), broken_promise); });
  threads.await_parked(1);
  p.reset();
}

TEST(future, of_an_assigned_over_promise_is_broken_and_that_of_a_moved_one_is_not) {
  promise<int> p;
  auto first = p.get_future();
  promise<int> moved = std::move(p);
  EXPECT_FALSE(first.ready());
  moved = promise<int>();
  EXPECT_THROW(first.get(), broken_promise);
  EXPECT_THROW(p.set_value(1), error); // NOLINT(bugprone-use-after-move)
}

TEST(promise, gives_one_future_and_takes_one_result) {
  promise<int> p;
  auto f = p.get_future();
  EXPECT_THROW(p.get_future(), error);
  p.set_value(1);
  EXPECT_THROW(p.set_value(2), error);
  EXPECT_THROW(p.set_exception(std::make_exception_ptr(1)), error);
  EXPECT_EQ(f.get(), 1);
}

TEST(promise, whose_value_cannot_be_made_is_still_unset) {
  struct refuses_negatives {
    explicit refuses_negatives(int n) {
      if (n < 0)
        throw std::invalid_argument("negative");
    }
  };
  std::optional<promise<refuses_negatives>> p(std::in_place);
  auto f = p->get_future();
  EXPECT_THROW(p->set_value(-1), std::invalid_argument);
  EXPECT_FALSE(f.ready());
  p.reset();
  EXPECT_THROW(f.get(), broken_promise);
}

TEST(future, that_is_not_connected_says_so) {
  future<int> f;
  EXPECT_FALSE(f.valid());
  EXPECT_THROW(f.get(), error);
  EXPECT_THROW(f.wait(), error);
  EXPECT_THROW(static_cast<void>(f.ready()), error);
  EXPECT_THROW(f.cancel(), error);
  EXPECT_THROW(f.on_ready([] {}), error);
  EXPECT_THROW(run(await_future(f)), error);
}

TEST(future, stays_valid_when_a_wait_times_out_or_is_cancelled) {
  promise<int> p;
  auto f = p.get_future();
  EXPECT_THROW(f.get(1ms), timed_out);
  EXPECT_THROW(f.wait(clock::time_point::min()), timed_out);
  cancellation_source source;
  source.request_cancellation();
  EXPECT_THROW(f.get(source.token()), cancelled);
  p.set_value(3);
  EXPECT_THROW(f.get(source.token()), cancelled)
      << "the rule of wait_limit: a cancelled token lets nothing succeed";
  EXPECT_TRUE(f.valid());
  EXPECT_EQ(f.get(), 3);
}

TEST(future, waiting_thread_is_cancelled_from_another) {
  promise<int> p;
  auto f = p.get_future();
  cancellation_source source;
  test::parking_threads threads;
  std::jthread waiting = threads.start([&] { EXPECT_THROW(f.get({1h, source.token()}), cancelled); });
  threads.await_parked(1);
  source.request_cancellation();
  waiting.join();
  p.set_value(1);
  EXPECT_EQ(f.get(), 1);
}

TEST(future, cancelled_or_timed_out_co_await_leaves_it_valid) {
  promise<int> p;
  auto f = p.get_future();
  EXPECT_THROW(run(timeout(1ms, await_future(f))), timed_out);
  EXPECT_TRUE(f.valid());
  p.set_value(4);
  EXPECT_EQ(run(await_future(f)), 4);
}

TEST(future, of_a_promise_cannot_cancel_the_work) {
  promise<int> p;
  auto f = p.get_future();
  EXPECT_FALSE(f.cancel());
  p.set_value(1);
  EXPECT_FALSE(f.cancel());
  EXPECT_EQ(f.get(), 1);
}

TEST(future, second_waiter_is_an_error_and_the_first_is_unharmed) {
  promise<int> p;
  auto f = p.get_future();
  test::parking_threads threads;
  std::jthread first = threads.start([&] { f.wait(); });
  threads.await_parked(1);
  EXPECT_THROW(f.wait(), error);
  EXPECT_THROW(f.on_ready([] {}), error);
  EXPECT_THROW(run(await_future(f)), error);
  p.set_value(1);
  first.join();
  EXPECT_EQ(f.get(), 1);
}

TEST(future, calls_back_once_when_ready) {
  promise<int> p;
  auto f = p.get_future();
  int calls = 0;
  auto captured = std::make_unique<int>(1);
  f.on_ready([&calls, captured = std::move(captured)] { calls += *captured; });
  EXPECT_EQ(calls, 0);
  p.set_value(1);
  EXPECT_EQ(calls, 1);
  f.on_ready([&] { ++calls; }); // ready already: at once
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(f.get(), 1);
}

TEST(future, calls_back_when_broken_and_when_it_was_dropped_meanwhile) {
  int calls = 0;
  {
    promise<int> p;
    auto f = p.get_future();
    f.on_ready([&] { ++calls; });
  }
  EXPECT_EQ(calls, 1);
}

TEST(future, dropped_before_the_result_is_no_harm) {
  promise<std::string> p;
  {
    auto f = p.get_future();
  }
  p.set_value("nobody wants it");
}

TEST(future, get_racing_with_the_result_and_a_timeout_delivers_it_once) {
  for (int round = 0; round < 500; ++round) {
    promise<std::unique_ptr<int>> p;
    auto f = p.get_future();
    std::jthread setter([&] { p.set_value(std::make_unique<int>(round)); });
    std::unique_ptr<int> result;
    while (!result) {
      try {
        result = f.get(std::chrono::microseconds(round % 30));
      } catch (const timed_out&) {
      }
    }
    EXPECT_EQ(*result, round);
    setter.join();
  }
}

task<int> await_impatiently(future<int>& f, std::chrono::microseconds patience) {
  for (;;) {
    try {
      co_return co_await timeout(patience, await_future(f));
    } catch (const timed_out&) {
    }
    patience += 1us;
  }
}

TEST(future, co_await_racing_with_the_result_and_a_timeout_delivers_it_once) {
  loop l;
  for (int round = 0; round < 300; ++round) {
    promise<int> p;
    auto f = p.get_future();
    std::jthread setter([&] { p.set_value(round); });
    EXPECT_EQ(l.run(await_impatiently(f, std::chrono::microseconds(round % 20))), round);
    setter.join();
  }
}

TEST(future, promise_may_be_destroyed_by_whoever_got_the_result) {
  for (int round = 0; round < 1000; ++round) {
    auto p = std::make_unique<promise<int>>();
    auto f = p->get_future();
    std::jthread setter([raw = p.get()] { raw->set_value(1); });
    if (round % 2 == 0) {
      f.get();
    } else {
      while (!f.ready())
        std::this_thread::yield();
      f = {};
    }
    p.reset();
  }
}

} // namespace
} // namespace fourfold
