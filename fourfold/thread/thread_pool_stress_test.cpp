#include <fourfold/sync/event.hpp>
#include <fourfold/sync/queue.hpp>
#include <fourfold/sync/semaphore.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace {

using fourfold::future;
using fourfold::thread_pool;

int fibonacci(thread_pool& pool, int n) {
  if (n < 2)
    return n;
  auto left = pool.submit(fibonacci, std::ref(pool), n - 1);
  const int right = fibonacci(pool, n - 2);
  return left.get() + right;
}

TEST(thread_pool_stress, loses_no_call_of_many_producers) {
  thread_pool pool({.threads = 3});
  constexpr int producers = 4, calls = 2000;
  std::atomic<int> ran = 0;
  std::vector<std::thread> threads;
  for (int p = 0; p < producers; ++p) {
    threads.emplace_back([&] {
      std::vector<future<int>> own;
      for (int i = 0; i < calls; ++i) {
        own.push_back(pool.submit([&ran](int n) { return ran.fetch_add(1), n; }, i));
        // Bursts and pauses, so that the threads of the pool fall asleep in between.
        if (i % 50 == 49) {
          for (auto& one : own)
            EXPECT_LT(one.get(), calls);
          own.clear();
        }
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  pool.shutdown();
  EXPECT_EQ(ran, producers * calls);
  const auto counted = pool.statistics();
  EXPECT_EQ(counted.submitted, static_cast<unsigned>(producers * calls));
  EXPECT_EQ(counted.finished, counted.submitted);
  EXPECT_EQ(counted.cancelled, 0U);
}

TEST(thread_pool_stress, wakes_up_for_every_single_call) {
  thread_pool pool({.threads = 2});
  for (int i = 0; i < 2000; ++i)
    EXPECT_EQ(pool.submit([i] { return i; }).get(), i);
}

TEST(thread_pool_stress, forks_and_joins_recursively) {
  for (const unsigned threads : {1U, 2U, 4U}) {
    thread_pool pool({.threads = threads});
    EXPECT_EQ(pool.submit(fibonacci, std::ref(pool), 16).get(), 987);
  }
}

TEST(thread_pool_stress, lives_and_dies_quickly) {
  for (int i = 0; i < 100; ++i) {
    std::atomic<int> ran = 0;
    {
      thread_pool pool({.threads = 1U + static_cast<unsigned>(i) % 3});
      for (int k = 0; k < i % 7; ++k)
        static_cast<void>(pool.submit([&] { ++ran; }));
    }
    EXPECT_EQ(ran, i % 7);
  }
}

TEST(thread_pool_stress, is_stopped_while_others_submit_and_every_accepted_call_is_resolved) {
  for (int round = 0; round < 20; ++round) {
    thread_pool pool({.threads = 2});
    std::atomic<int> accepted = 0, ran = 0, cancelled = 0;
    std::vector<std::thread> producers;
    for (int p = 0; p < 2; ++p) {
      producers.emplace_back([&] {
        std::vector<future<void>> own;
        const auto collect = [&] {
          for (auto& one : own) {
            try {
              one.get();
            } catch (const fourfold::cancelled&) {
              ++cancelled;
            }
          }
          own.clear();
        };
        try {
          for (;;) {
            own.push_back(pool.submit([&] { ++ran; }));
            ++accepted;
            if (own.size() == 500)
              collect();
          }
        } catch (const fourfold::pool_closed&) {
        }
        collect();
      });
    }
    while (ran < 100)
      std::this_thread::yield();
    if (round % 2 == 0) {
      pool.stop();
    } else {
      pool.shutdown();
    }
    for (auto& producer : producers)
      producer.join();
    EXPECT_EQ(accepted, ran + cancelled);
  }
}

TEST(thread_pool_stress, blocks_and_wakes_in_pipelines) {
  thread_pool pool({.threads = 2});
  fourfold::queue<int> first(4), second(4);
  constexpr int items = 1000;
  auto consumer = pool.submit([&] {
    long sum = 0;
    while (auto item = second.next())
      sum += *item;
    return sum;
  });
  auto middle = pool.submit([&] {
    while (auto item = first.next())
      second.put(*item * 2);
    second.close();
  });
  auto producer = pool.submit([&] {
    for (int i = 0; i < items; ++i)
      first.put(i);
    first.close();
  });
  EXPECT_EQ(consumer.get(), static_cast<long>(items) * (items - 1));
  middle.get();
  producer.get();
}

// Row T13 of the mission: a high-water mark inside a guarded section.
class guarded_section : public testing::TestWithParam<int> {};

TEST_P(guarded_section, admits_at_most_so_many_callers_at_once) {
  thread_pool pool({.threads = 8});
  const int permits = GetParam();
  fourfold::semaphore slots(permits);
  std::atomic<int> inside = 0, high_water = 0;
  std::vector<future<void>> callers;
  fourfold::event full;
  for (int i = 0; i < 40; ++i) {
    callers.push_back(pool.submit([&] {
      slots.acquire();
      const int now = ++inside;
      int seen = high_water;
      while (now > seen && !high_water.compare_exchange_weak(seen, now)) {
      }
      // Whoever comes in stays until the section has been full, so the mark is reached for certain.
      if (now == permits)
        full.set();
      full.wait();
      --inside;
      slots.release();
    }));
  }
  for (auto& caller : callers)
    caller.get();
  EXPECT_EQ(high_water, permits);
}

INSTANTIATE_TEST_SUITE_P(permits, guarded_section, testing::Values(5, 3));

} // namespace
