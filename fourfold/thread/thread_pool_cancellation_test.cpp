#include <fourfold/base/cancellation.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace {

using fourfold::event;
using fourfold::thread_pool;

/// A pool of one thread that is busy until told.
struct busy_pool {
  thread_pool pool{{.threads = 1, .max_spare_threads = 0}};
  event started;
  event release;
  fourfold::future<void> blocker = pool.submit([this] {
    started.set();
    release.wait();
  });
  busy_pool() { started.wait(); }
  ~busy_pool() { release.set(); }
};

TEST(thread_pool_cancellation, of_a_queued_call_keeps_it_from_running) {
  busy_pool busy;
  std::atomic<bool> ran = false;
  auto queued = busy.pool.submit([&] { ran = true; });
  EXPECT_TRUE(queued.cancel());
  EXPECT_TRUE(queued.ready());
  EXPECT_THROW(queued.get(), fourfold::cancelled);
  busy.release.set();
  busy.pool.shutdown();
  EXPECT_FALSE(ran);
  const auto counted = busy.pool.statistics();
  EXPECT_EQ(counted.submitted, 2U);
  EXPECT_EQ(counted.finished, 1U);
  EXPECT_EQ(counted.cancelled, 1U);
}

TEST(thread_pool_cancellation, of_a_queued_call_destroys_function_and_arguments_at_once) {
  busy_pool busy;
  auto captured = std::make_shared<int>(1);
  auto queued = busy.pool.submit([captured](const std::shared_ptr<int>&) {}, captured);
  EXPECT_EQ(captured.use_count(), 3);
  queued.cancel();
  EXPECT_EQ(captured.use_count(), 1);
}

TEST(thread_pool_cancellation, of_a_running_call_reaches_its_token) {
  thread_pool pool({.threads = 1});
  event started;
  auto running = pool.submit([&] {
    event never_set;
    started.set();
    never_set.wait(fourfold::current_cancellation());
  });
  started.wait();
  EXPECT_TRUE(running.cancel());
  EXPECT_THROW(running.get(), fourfold::cancelled);
}

TEST(thread_pool_cancellation, of_a_running_call_may_be_ignored) {
  thread_pool pool({.threads = 1});
  event started, go_on;
  auto running = pool.submit([&] {
    started.set();
    go_on.wait();
    return fourfold::current_cancellation().cancellation_requested();
  });
  started.wait();
  EXPECT_TRUE(running.cancel());
  go_on.set();
  EXPECT_TRUE(running.get());
}

TEST(thread_pool_cancellation, of_a_call_that_is_done_does_nothing) {
  thread_pool pool({.threads = 1});
  auto done = pool.submit([] { return 1; });
  done.wait();
  EXPECT_FALSE(done.cancel());
  EXPECT_EQ(done.get(), 1);
}

TEST(thread_pool_cancellation, twice_of_a_queued_call_is_once) {
  busy_pool busy;
  auto queued = busy.pool.submit([] {});
  EXPECT_TRUE(queued.cancel());
  EXPECT_FALSE(queued.cancel());
}

TEST(thread_pool_cancellation, concerns_the_call_and_not_the_one_that_waits_for_it_on_the_same_thread) {
  thread_pool pool({.threads = 1});
  event inner_started;
  fourfold::future<bool> inner;
  auto outer = pool.submit([&] {
    inner = pool.submit([&] {
      inner_started.set();
      event never_set;
      try {
        never_set.wait(fourfold::current_cancellation());
      } catch (const fourfold::cancelled&) {
        return true;
      }
      return false;
    });
    const bool inner_cancelled = inner.get();
    return inner_cancelled && !fourfold::current_cancellation().cancellation_requested();
  });
  inner_started.wait();
  inner.cancel();
  EXPECT_TRUE(outer.get());
}

TEST(thread_pool_cancellation, races_with_the_run_and_exactly_one_of_them_wins) {
  thread_pool pool({.threads = 2});
  constexpr int calls = 2000;
  std::atomic<int> ran = 0;
  int cancelled = 0;
  std::vector<fourfold::future<void>> all;
  for (int i = 0; i < calls; ++i) {
    all.push_back(pool.submit([&] { ++ran; }));
    if (i % 3 == 0)
      all.back().cancel();
  }
  for (auto& one : all) {
    try {
      one.get();
    } catch (const fourfold::cancelled&) {
      ++cancelled;
    }
  }
  EXPECT_EQ(ran + cancelled, calls);
  pool.shutdown();
  const auto counted = pool.statistics();
  EXPECT_EQ(counted.submitted, static_cast<unsigned>(calls));
  EXPECT_EQ(counted.finished, static_cast<unsigned>(ran));
  EXPECT_EQ(counted.cancelled, static_cast<unsigned>(cancelled));
}

} // namespace
