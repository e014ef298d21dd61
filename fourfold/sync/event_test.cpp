#include <fourfold/base/errors.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/event.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

TEST(event, stays_set_until_cleared) {
  event e;
  EXPECT_FALSE(e.is_set());
  e.set();
  e.set();
  EXPECT_TRUE(e.is_set());
  e.wait();
  e.wait(0s);
  e.clear();
  EXPECT_FALSE(e.is_set());
  EXPECT_THROW(e.wait(1ms), timed_out);
  EXPECT_TRUE(event(true).is_set());
}

TEST(event, releases_every_waiting_thread_when_set) {
  event e;
  test::parking_threads threads;
  std::atomic<int> released{0};
  std::vector<std::jthread> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.push_back(threads.start([&] {
      e.wait();
      ++released;
    }));
  }
  threads.await_parked(4);
  EXPECT_EQ(released, 0);
  e.set();
  waiting.clear();
  EXPECT_EQ(released, 4);
}

task<> wait_and_count(event& e, std::atomic<int>& released) {
  co_await e.async_wait();
  ++released;
}

task<> set_in_the_midst(event& e, std::atomic<int>& released) {
  std::vector<future<void>> waiting;
  for (int i = 0; i < 4; ++i)
    waiting.push_back(spawn(wait_and_count(e, released)));
  co_await test::let_others_run();
  EXPECT_EQ(released, 0);
  e.set();
  e.clear(); // those that waited were released all the same
  for (auto& w : waiting)
    co_await w;
}

TEST(event, releases_every_waiting_coroutine_when_set_even_if_cleared_at_once) {
  event e;
  std::atomic<int> released{0};
  run(set_in_the_midst(e, released));
  EXPECT_EQ(released, 4);
}

TEST(event, releases_threads_and_coroutines_on_several_loops_together) {
  event e;
  std::atomic<int> released{0};
  test::parking_threads threads;
  test::loop_thread loops[2];
  std::vector<future<void>> coroutines;
  for (auto& l : loops) {
    for (int i = 0; i < 3; ++i)
      coroutines.push_back(l->submit(wait_and_count, std::ref(e), std::ref(released)));
  }
  std::jthread thread = threads.start([&] {
    e.wait();
    ++released;
  });
  threads.await_parked(1);
  for (auto& l : loops)
    l->submit(test::let_others_run, 2).get(); // behind the coroutines: they have parked
  EXPECT_EQ(released, 0);
  e.set();
  for (auto& c : coroutines)
    c.get();
  thread.join();
  EXPECT_EQ(released, 7);
}

TEST(event, wait_with_a_cancelled_token_throws_even_if_set) {
  event e(true);
  cancellation_source source;
  source.request_cancellation();
  EXPECT_THROW(e.wait(source.token()), cancelled);
}

TEST(event, waiting_thread_is_cancelled_from_another) {
  event e;
  cancellation_source source;
  test::parking_threads threads;
  std::jthread waiting = threads.start([&] { EXPECT_THROW(e.wait({1h, source.token()}), cancelled); });
  threads.await_parked(1);
  source.request_cancellation();
}

TEST(event, waiting_coroutine_is_cancelled_and_may_wait_again) {
  event e;
  test::loop_thread loop;
  std::atomic<int> released{0};
  auto f = loop->submit(wait_and_count, std::ref(e), std::ref(released));
  loop->submit(test::let_others_run, 2).get();
  EXPECT_TRUE(f.cancel());
  EXPECT_THROW(f.get(), cancelled);
  auto again = loop->submit(wait_and_count, std::ref(e), std::ref(released));
  e.set();
  again.get();
  EXPECT_EQ(released, 1);
}

TEST(event, waiter_that_was_released_may_destroy_it) {
  for (int round = 0; round < 1000; ++round) {
    auto e = std::make_unique<event>();
    std::jthread setter([raw = e.get()] { raw->set(); });
    if (round % 2 == 0) {
      e->wait();
    } else {
      while (!e->is_set())
        std::this_thread::yield();
    }
    e.reset();
  }
}

// set() takes out waiters of which some are giving up at that moment.
TEST(event, set_racing_with_timeouts_and_cancellations_releases_each_waiter_once) {
  for (int round = 0; round < 150; ++round) {
    event e;
    cancellation_source source;
    std::atomic<int> ended{0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        try {
          e.wait({std::chrono::microseconds(i * 20), i % 2 == 0 ? source.token() : cancellation_token()});
        } catch (const error&) {
        }
        ++ended;
      });
    }
    threads.emplace_back([&] { source.request_cancellation(); });
    for (int i = 0; i < round % 8; ++i)
      std::this_thread::yield();
    e.set();
    threads.clear();
    EXPECT_EQ(ended, 4);
  }
}

TEST(event_death_test, destruction_while_somebody_waits_aborts_with_a_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  struct idle_waiter final : waiter {
    void wake() noexcept override {}
  };
  EXPECT_DEATH(
      {
        idle_waiter w;
        wait_list list;
        list.waiters.push_back(w);
      },
      "fourfold: misuse: a synchronisation object was destroyed while somebody waits on it");
}

TEST(event, may_be_destroyed_by_one_task_that_it_let_through_before_another_one_is_cancelled) {
  auto e = std::make_unique<event>();
  future<void> second;
  const auto destroy_and_cancel = [&]() -> task<> {
    co_await e->async_wait();
    e.reset();
    second.cancel();
  };
  const auto wait_too = [&]() -> task<> { co_await e->async_wait(); };
  const auto main = [&]() -> task<> {
    auto first = spawn(destroy_and_cancel());
    second = spawn(wait_too());
    for (int i = 0; i < 5; ++i)
      co_await yield();
    e->set();
    co_await first;
    try {
      co_await second;
    } catch (const cancelled&) { // its wait was over, its task was not
    }
  };
  run(main());
}

} // namespace
} // namespace fourfold
