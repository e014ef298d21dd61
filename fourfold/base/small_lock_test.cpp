#include <fourfold/base/small_lock.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

TEST(small_lock, keeps_a_counter_exact_under_contention) {
  small_lock lock;
  int counter = 0;
  constexpr int threads = 4;
  constexpr int rounds = 20'000;
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < threads; ++i) {
      workers.emplace_back([&] {
        for (int k = 0; k < rounds; ++k) {
          const std::lock_guard guard(lock);
          ++counter;
        }
      });
    }
  }
  EXPECT_EQ(counter, threads * rounds);
}

TEST(small_lock, lets_in_a_thread_that_went_to_sleep_on_it) {
  for (int round = 0; round < 20; ++round) {
    small_lock lock;
    lock.lock();
    EXPECT_FALSE(lock.try_lock());
    std::jthread sleeper([&] { const std::lock_guard guard(lock); });
    // Long enough for the other thread to stop spinning, usually; right either way.
    for (int i = 0; i < 100; ++i)
      std::this_thread::yield();
    lock.unlock();
    sleeper.join();
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  }
}

TEST(small_lock, may_be_destroyed_by_the_next_holder) {
  struct guarded {
    small_lock lock;
    bool done = false;
  };
  for (int round = 0; round < 300; ++round) {
    auto* shared = new guarded;
    std::jthread first([shared] {
      const std::lock_guard guard(shared->lock);
      shared->done = true;
    });
    for (bool done = false; !done;) {
      shared->lock.lock();
      done = shared->done;
      if (done)
        break;
      shared->lock.unlock();
      std::this_thread::yield();
    }
    delete shared; // the other thread may still be inside unlock()
  }
}

} // namespace
} // namespace fourfold
