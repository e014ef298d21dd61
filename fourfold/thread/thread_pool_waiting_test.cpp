#include <fourfold/base/sanitizers.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/queue.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fourfold::event;
using fourfold::future;
using fourfold::thread_pool;

int depth_below(thread_pool& pool, int levels) {
  if (levels == 0)
    return 0;
  return pool.submit(depth_below, std::ref(pool), levels - 1).get() + 1;
}

TEST(thread_pool_waiting, for_a_queued_call_runs_that_call_a_thousand_levels_deep_on_one_thread) {
  thread_pool pool({.threads = 1});
  EXPECT_EQ(pool.submit(depth_below, std::ref(pool), 1000).get(), 1000);
}

// The optimiser must believe that the array is needed.
void keep(char* array) { __asm__ __volatile__("" : : "r"(array) : "memory"); }

TEST(thread_pool_waiting, goes_on_another_stack_before_this_one_is_full) {
  thread_pool pool({.threads = 1});
  const auto deep = [&pool](auto& self, int levels) -> int {
    char big[64 * 1024];
    keep(big);
    if (levels == 0)
      return 1;
    const int below = pool.submit([&self, levels] { return self(self, levels - 1); }).get();
    keep(big);
    return below;
  };
  EXPECT_EQ(pool.submit([&] { return deep(deep, 300); }).get(), 1); // 19 MiB
  EXPECT_GE(pool.statistics().spare_threads_started, 1U);
}

TEST(thread_pool_waiting, runs_the_awaited_call_and_no_other_on_the_same_stack) {
  thread_pool pool({.threads = 1});
  std::vector<int> order;
  pool.submit([&] {
        const auto here = std::this_thread::get_id();
        auto other = pool.submit([&] { order.push_back(1); });
        auto awaited = pool.submit([&] {
          order.push_back(2);
          return std::this_thread::get_id();
        });
        auto another = pool.submit([&] { order.push_back(3); });
        EXPECT_EQ(awaited.get(), here);
        EXPECT_EQ(order, std::vector{2});
      })
      .get();
  pool.shutdown();
  EXPECT_EQ(order.size(), 3U);
  EXPECT_EQ(pool.statistics().spare_threads_started, 0U);
}

TEST(thread_pool_waiting, of_a_thread_from_outside_runs_no_job_there) {
  thread_pool pool({.threads = 1});
  EXPECT_NE(pool.submit([] { return std::this_thread::get_id(); }).get(), std::this_thread::get_id());
}

TEST(thread_pool_waiting, with_a_time_limit_keeps_to_it_though_the_call_is_queued) {
  thread_pool pool({.threads = 1});
  event go_on;
  auto outer = pool.submit([&] {
    auto inner = pool.submit([&] { go_on.wait(); });
    EXPECT_THROW(inner.get(1ms), fourfold::timed_out);
    go_on.set();
    inner.get();
  });
  outer.get();
}

TEST(thread_pool_waiting, for_one_call_after_the_other_keeps_no_memory_of_them) {
  if (fourfold::under_address_sanitizer || fourfold::under_thread_sanitizer)
    GTEST_SKIP() << "the sanitizer has an allocator of its own";
  thread_pool pool({.threads = 1});
  auto growth = pool.submit([&] {
    const auto before = static_cast<std::ptrdiff_t>(::mallinfo2().uordblks);
    for (int i = 0; i < 10'000; ++i)
      pool.submit([] {}).get();
    return static_cast<std::ptrdiff_t>(::mallinfo2().uordblks) - before;
  });
  EXPECT_LT(growth.get(), 100'000);
}

TEST(thread_pool_waiting, for_a_call_that_is_submitted_while_the_pool_is_stopped_ends) {
  for (int round = 0; round < 300; ++round) {
    thread_pool pool({.threads = 1, .max_spare_threads = 0});
    event inside;
    auto submitting = pool.submit([&] {
      inside.set();
      for (;;)
        pool.submit([] {}).get();
    });
    inside.wait();
    ASSERT_NO_THROW(pool.stop(30s)) << round;
    EXPECT_ANY_THROW(submitting.get());
  }
}

TEST(thread_pool_waiting, for_an_event_that_a_queued_job_sets_ends) {
  thread_pool pool({.threads = 1});
  event set_later;
  auto waiting = pool.submit([&] { set_later.wait(); });
  auto setting = pool.submit([&] { set_later.set(); });
  waiting.get();
  setting.get();
  EXPECT_EQ(pool.size(), 1U);
}

TEST(thread_pool_waiting, for_an_item_that_a_queued_job_puts_ends) {
  thread_pool pool({.threads = 1});
  fourfold::queue<int> items;
  auto getting = pool.submit([&] { return items.get(); });
  auto putting = pool.submit([&] { items.put(5); });
  EXPECT_EQ(getting.get(), 5);
  putting.get();
}

TEST(thread_pool_waiting, for_a_mutex_that_a_queued_job_unlocks_ends) {
  thread_pool pool({.threads = 1});
  fourfold::mutex m;
  m.lock();
  auto locking = pool.submit([&] {
    const std::scoped_lock guard(m);
    return 1;
  });
  auto unlocking = pool.submit([&] { m.unlock(); });
  EXPECT_EQ(locking.get(), 1);
  unlocking.get();
}

TEST(thread_pool_waiting, of_many_jobs_for_the_last_one_ends) {
  thread_pool pool({.threads = 1});
  event set_last;
  std::vector<future<void>> all;
  for (int i = 0; i < 200; ++i)
    all.push_back(pool.submit([&] { set_last.wait(); }));
  all.push_back(pool.submit([&] { set_last.set(); }));
  for (auto& one : all)
    one.get();
  pool.shutdown();
  const auto counted = pool.statistics();
  EXPECT_GE(counted.spare_threads_started, 1U);
  EXPECT_LE(counted.spare_threads_started, 200U);
}

TEST(thread_pool_waiting, keeps_as_many_threads_running_as_asked) {
  thread_pool pool({.threads = 2});
  event release;
  auto blocked = pool.submit([&] { release.wait(); });
  // These two need each other and block in no way that the pool knows.
  std::atomic<int> here = 0;
  const auto meet = [&] {
    ++here;
    while (here != 2)
      std::this_thread::yield();
  };
  auto a = pool.submit(meet), b = pool.submit(meet);
  a.get();
  b.get();
  release.set();
  blocked.get();
}

TEST(thread_pool_waiting, does_not_run_more_jobs_at_once_than_asked_for_long) {
  thread_pool pool({.threads = 1});
  event release;
  auto blocked = pool.submit([&] { release.wait(); });
  pool.submit([] {}).get(); // on a spare thread
  release.set();
  blocked.get();
  // Both threads are awake or about to sleep; from here on one job at a time is the rule again.
  std::atomic<int> running = 0, most = 0;
  std::vector<future<void>> all;
  for (int i = 0; i < 200; ++i) {
    all.push_back(pool.submit([&] {
      const int now = ++running;
      int seen = most;
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      std::this_thread::yield();
      --running;
    }));
  }
  for (auto& one : all)
    one.get();
  EXPECT_LE(most, 2);
}

TEST(thread_pool_waiting, does_not_make_a_thread_of_every_job_that_wants_one_mutex) {
  thread_pool pool({.threads = 2});
  fourfold::mutex m;
  int sum = 0;
  std::vector<future<void>> all;
  for (int i = 0; i < 500; ++i) {
    all.push_back(pool.submit([&] {
      const std::scoped_lock guard(m);
      for (int k = 0; k < 10; ++k)
        std::this_thread::yield();
      ++sum;
    }));
  }
  for (auto& one : all)
    one.get();
  EXPECT_EQ(sum, 500);
  EXPECT_LE(pool.statistics().spare_threads_started, 100U);
}

TEST(thread_pool_waiting, lets_spare_threads_end_when_idle) {
  thread_pool pool({.threads = 1, .spare_idle_time = 1ms});
  for (int round = 0; round < 20; ++round) {
    event set_later;
    auto waiting = pool.submit([&] { set_later.wait(); });
    auto setting = pool.submit([&] { set_later.set(); });
    waiting.get();
    setting.get();
    // Nothing tells when the kernel has ended a thread; either way the next round must work.
    std::this_thread::sleep_for(round % 2 == 0 ? 3ms : 0ms);
  }
}

TEST(thread_pool_waiting, across_two_pools_ends) {
  thread_pool a({.threads = 1}), b({.threads = 1});
  const auto ping = [&](auto& self, int levels) -> int {
    if (levels == 0)
      return 0;
    thread_pool& other = levels % 2 == 0 ? a : b;
    return other.submit([&self, levels] { return self(self, levels - 1); }).get() + 1;
  };
  EXPECT_EQ(a.submit([&] { return ping(ping, 40); }).get(), 40);
}

TEST(thread_pool_waiting, stops_making_threads_at_the_limit_and_goes_on_with_running_ones) {
  thread_pool pool({.threads = 1, .max_spare_threads = 0});
  EXPECT_EQ(pool.submit(depth_below, std::ref(pool), 10).get(), 10) << "this needs no other thread";
  event release;
  auto blocked = pool.submit([&] { release.wait(); });
  auto later = pool.submit([] { return 1; });
  release.set();
  EXPECT_EQ(later.get(), 1);
  EXPECT_EQ(pool.statistics().spare_threads_started, 0U);
}

} // namespace
