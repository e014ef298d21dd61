#include <fourfold/base/errors.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/latch.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

static_assert(sizeof(latch) == sizeof(event) + 8);

TEST(latch, opens_when_it_is_counted_down_to_zero_and_stays_open) {
  latch l(3);
  l.count_down();
  l.count_down(0);
  EXPECT_FALSE(l.try_wait());
  EXPECT_THROW(l.wait(1ms), timed_out);
  l.count_down(2);
  EXPECT_TRUE(l.try_wait());
  l.wait();
  l.wait(-1s);
  EXPECT_TRUE(latch(0).try_wait());
}

TEST(latch, refuses_counts_that_cannot_be) {
  EXPECT_THROW(latch(-1), std::invalid_argument);
  latch l(2);
  EXPECT_THROW(l.count_down(3), released_too_often);
  EXPECT_THROW(l.count_down(-1), released_too_often);
  l.count_down(2);
  EXPECT_THROW(l.count_down(), released_too_often);
  EXPECT_TRUE(l.try_wait());
}

TEST(latch, lets_through_every_waiting_thread_and_coroutine) {
  auto wait_and_count = [](latch& l, std::atomic<int>& through) -> task<> {
    co_await l.async_wait();
    ++through;
  };
  latch l(2);
  std::atomic<int> through{0};
  test::parking_threads threads;
  test::loop_thread loop;
  std::vector<std::jthread> waiting;
  std::vector<future<void>> awaiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(threads.start([&] {
      l.wait();
      ++through;
    }));
    awaiting.push_back(loop->submit(wait_and_count, std::ref(l), std::ref(through)));
  }
  threads.await_parked(3);
  loop->submit(test::let_others_run, 2).get(); // behind the coroutines: they have parked
  l.count_down();
  EXPECT_EQ(through, 0);
  l.count_down();
  waiting.clear();
  for (auto& a : awaiting)
    a.get();
  EXPECT_EQ(through, 6);
}

TEST(latch, waiter_that_gives_up_takes_nothing_off_the_count) {
  auto wait = [](latch& l) -> task<> { co_await l.async_wait(); };
  latch l(1);
  cancellation_source source;
  test::parking_threads threads;
  std::jthread waiting = threads.start([&] { EXPECT_THROW(l.wait(source.token()), cancelled); });
  threads.await_parked(1);
  source.request_cancellation();
  waiting.join();
  EXPECT_THROW(run(timeout(1ms, wait(l))), timed_out);
  EXPECT_FALSE(l.try_wait());
  l.count_down();
  run(wait(l));
}

TEST(latch, shows_what_was_done_before_each_count) {
  for (int round = 0; round < 200; ++round) {
    latch l(3);
    int written[3] = {};
    std::vector<std::jthread> threads;
    for (int& w : written) {
      threads.emplace_back([&] {
        w = 1;
        l.count_down();
      });
    }
    l.wait();
    EXPECT_EQ(written[0] + written[1] + written[2], 3);
  }
}

TEST(latch, waiter_that_was_let_through_may_destroy_it) {
  for (int round = 0; round < 500; ++round) {
    auto l = std::make_unique<latch>(1);
    std::jthread counter([raw = l.get()] { raw->count_down(); });
    if (round % 2 == 0) {
      l->wait();
    } else {
      while (!l->try_wait())
        std::this_thread::yield();
    }
    l.reset();
  }
}

} // namespace
} // namespace fourfold
