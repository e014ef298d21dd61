#include <fourfold/base/cancellation.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/thread/global_lock.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fourfold::event;
using fourfold::global_lock;
using fourfold::global_lock_guard;
using fourfold::global_lock_release;

TEST(global_lock, has_one_holder_at_a_time) {
  global_lock lock;
  int sum = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        const global_lock_guard guard(lock);
        ++sum;
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(sum, 4000);
  EXPECT_TRUE(lock.try_acquire());
  lock.release();
}

TEST(global_lock, lets_cpu_bound_holders_take_turns) {
  global_lock lock(1ms);
  std::vector<int> turns; // who ran, noted once per turn
  std::atomic<int> ready = 0;
  std::vector<std::thread> threads;
  for (int me = 0; me < 3; ++me) {
    threads.emplace_back([&, me] {
      ++ready;
      while (ready != 3)
        std::this_thread::yield();
      const global_lock_guard guard(lock);
      while (turns.size() < 60) {
        if (turns.empty() || turns.back() != me)
          turns.push_back(me);
        lock.checkpoint();
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  // All three wait in line once each has been in it: then the order repeats. The first few turns may come
  // before.
  for (std::size_t i = 13; i < turns.size(); ++i)
    EXPECT_EQ(turns[i], turns[i - 3]) << i;
  EXPECT_GE(lock.hand_overs(), 59U);
}

TEST(global_lock, hands_over_once_an_interval_and_not_more_often) {
  constexpr auto interval = 20ms;
  global_lock lock(interval);
  std::atomic<bool> stop = false;
  const auto start = fourfold::clock::now();
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      const global_lock_guard guard(lock);
      while (!stop) {
        lock.checkpoint();
        if (lock.hand_overs() >= 10)
          stop = true;
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  EXPECT_GE(fourfold::clock::now() - start, 10 * interval);
}

TEST(global_lock, goes_on_at_a_checkpoint_when_nobody_asks) {
  global_lock lock(1h);
  const global_lock_guard guard(lock);
  event parked;
  std::thread waiting([&] { EXPECT_THROW(lock.acquire(5ms), fourfold::timed_out); });
  for (int i = 0; i < 1000; ++i)
    lock.checkpoint();
  waiting.join();
  lock.checkpoint();
  EXPECT_EQ(lock.hand_overs(), 0U);
  EXPECT_TRUE(lock.held_by_this_thread());
}

TEST(global_lock, takes_a_new_interval_at_run_time) {
  global_lock lock(1h);
  lock.set_switch_interval(1ms);
  EXPECT_EQ(lock.switch_interval(), 1ms);
  bool other_ran = false;
  const global_lock_guard guard(lock);
  std::thread other([&] {
    const global_lock_guard inner(lock);
    other_ran = true;
  });
  while (!other_ran)
    lock.checkpoint();
  other.join();
  EXPECT_EQ(lock.hand_overs(), 1U);
  EXPECT_THROW(lock.set_switch_interval(0ms), std::invalid_argument);
  EXPECT_THROW(global_lock(-1ms), std::invalid_argument);
}

TEST(global_lock, release_gives_it_to_the_waiter_and_not_back_to_the_releaser) {
  global_lock lock(1ms);
  std::vector<int> order;
  lock.acquire();
  std::thread other([&] {
    lock.acquire();
    order.push_back(2);
    lock.release();
  });
  // When the checkpoint has handed over once, the other was in line; from there on a release must do the
  // same.
  while (lock.hand_overs() == 0)
    lock.checkpoint();
  EXPECT_EQ(order, std::vector{2});
  other.join();
  lock.release();
}

TEST(global_lock, refuses_those_who_do_not_hold_it) {
  global_lock lock;
  EXPECT_THROW(lock.release(), fourfold::error);
  EXPECT_THROW(lock.checkpoint(), fourfold::error);
  EXPECT_THROW(const global_lock_release scope(lock), fourfold::error);
  const global_lock_guard guard(lock);
  EXPECT_THROW(lock.acquire(), fourfold::error) << "it is not recursive";
  EXPECT_FALSE(lock.try_acquire());
  std::thread([&] {
    EXPECT_FALSE(lock.held_by_this_thread());
    EXPECT_THROW(lock.release(), fourfold::error);
    EXPECT_THROW(lock.checkpoint(), fourfold::error);
  }).join();
  EXPECT_TRUE(lock.held_by_this_thread());
}

TEST(global_lock, names_the_mistake) {
  global_lock lock;
  try {
    lock.release();
    FAIL();
  } catch (const fourfold::error& e) {
    EXPECT_STREQ(e.what(), "global_lock: release() by a thread that does not hold the lock");
  }
}

TEST(global_lock, lets_others_in_during_a_release_scope) {
  global_lock lock(1h);
  const global_lock_guard guard(lock);
  bool other_ran = false;
  {
    const global_lock_release open(lock);
    EXPECT_FALSE(lock.held_by_this_thread());
    std::thread([&] {
      const global_lock_guard inner(lock);
      other_ran = true;
    }).join();
  }
  EXPECT_TRUE(lock.held_by_this_thread());
  EXPECT_TRUE(other_ran);
}

TEST(global_lock, waits_until_a_limit_or_a_cancellation) {
  global_lock lock;
  const global_lock_guard guard(lock);
  std::thread([&] {
    EXPECT_THROW(lock.acquire(2ms), fourfold::timed_out);
    fourfold::cancellation_source source;
    source.request_cancellation();
    EXPECT_THROW(lock.acquire(source.token()), fourfold::cancelled);
    fourfold::cancellation_source later;
    std::thread canceller([&] { later.request_cancellation(); });
    EXPECT_THROW(lock.acquire(later.token()), fourfold::cancelled);
    canceller.join();
  }).join();
}

TEST(global_lock, survives_waiters_that_give_up_while_holders_change) {
  global_lock lock(100us);
  std::atomic<int> got = 0, gave_up = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        try {
          const global_lock_guard guard(lock, std::chrono::microseconds(50 * (t + 1)));
          ++got;
          for (int k = 0; k < 20; ++k)
            lock.checkpoint();
          const global_lock_release open(lock);
        } catch (const fourfold::timed_out&) {
          ++gave_up;
        }
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(got + gave_up, 800);
  EXPECT_TRUE(lock.try_acquire());
  lock.release();
}

} // namespace
