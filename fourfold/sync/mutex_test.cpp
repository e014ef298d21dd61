#include <fourfold/base/errors.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/mutex.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

TEST(mutex, works_with_the_guards_of_the_standard_library) {
  mutex a;
  mutex b;
  {
    const std::scoped_lock guard(a, b);
    EXPECT_FALSE(a.try_lock());
    EXPECT_FALSE(b.try_lock());
  }
  {
    std::unique_lock guard(a, std::defer_lock);
    EXPECT_TRUE(guard.try_lock_for(1h));
    guard.unlock();
    EXPECT_TRUE(guard.try_lock_until(clock::now()));
  }
  EXPECT_TRUE(a.try_lock());
  a.unlock();
}

TEST(mutex, works_with_condition_variable_any) {
  mutex m;
  std::condition_variable_any changed;
  bool ready = false;
  std::jthread setter([&] {
    const std::scoped_lock guard(m);
    ready = true;
    changed.notify_one();
  });
  std::unique_lock guard(m);
  changed.wait(guard, [&] { return ready; });
  EXPECT_TRUE(ready);
}

TEST(mutex, try_lock_for_gives_up_at_its_limit_and_does_not_hold_it) {
  mutex m;
  m.lock();
  std::jthread([&] {
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_for(1ms));
    EXPECT_FALSE(m.try_lock_for(-1s));
    EXPECT_FALSE(m.try_lock_until(clock::time_point::min()));
    EXPECT_THROW(m.lock(1ms), timed_out);
  }).join();
  m.unlock();
  EXPECT_TRUE(m.try_lock_for(0s));
  m.unlock();
}

TEST(mutex, unlocking_one_that_is_not_locked_is_an_error) {
  mutex m;
  EXPECT_THROW(m.unlock(), released_too_often);
  m.lock();
  m.unlock();
  EXPECT_THROW(m.unlock(), released_too_often);
}

TEST(mutex, waiting_thread_is_cancelled_and_does_not_hold_it) {
  mutex m;
  m.lock();
  cancellation_source source;
  test::parking_threads threads;
  std::jthread waiting = threads.start([&] { EXPECT_THROW(m.lock(source.token()), cancelled); });
  threads.await_parked(1);
  source.request_cancellation();
  waiting.join();
  m.unlock();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

task<> lock_in_turn(mutex& m, std::vector<int>& order, int number) {
  const auto guard = co_await m.async_scoped_lock();
  order.push_back(number);
}

TEST(mutex, threads_and_coroutines_get_it_in_the_order_in_which_they_came) {
  mutex m;
  std::vector<int> order;
  test::parking_threads threads;
  test::loop_thread loop;
  m.lock();
  std::vector<std::jthread> waiting;
  std::vector<future<void>> awaiting;
  for (int i = 0; i < 6; i += 2) {
    waiting.push_back(threads.start([&, i] {
      const std::scoped_lock guard(m);
      order.push_back(i);
    }));
    threads.await_parked(i / 2 + 1);
    awaiting.push_back(loop->submit(lock_in_turn, std::ref(m), std::ref(order), i + 1));
    loop->submit(test::let_others_run, 2).get(); // behind the coroutine: it has parked
  }
  EXPECT_FALSE(m.try_lock());
  m.unlock();
  waiting.clear();
  for (auto& a : awaiting)
    a.get();
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4, 5}));
}

task<> count_up(mutex& m, long& counter, int times) {
  for (int i = 0; i < times; ++i) {
    const auto guard = co_await m.async_scoped_lock();
    const long read = counter;
    if (i % 16 == 0)
      co_await yield(); // held across an await, by the coroutine
    counter = read + 1;
  }
}

task<> count_up_with_lock(mutex& m, long& counter, int times) {
  for (int i = 0; i < times; ++i) {
    co_await m.async_lock();
    ++counter;
    m.unlock();
  }
}

// T11
TEST(mutex, counter_of_four_threads_and_coroutines_on_two_loops_is_exact) {
  mutex m;
  long counter = 0;
  constexpr int times = 500;
  {
    test::loop_thread loops[2];
    std::vector<future<void>> coroutines;
    for (auto& l : loops) {
      for (int i = 0; i < 4; ++i)
        coroutines.push_back(l->submit(count_up, std::ref(m), std::ref(counter), times));
      coroutines.push_back(l->submit(count_up_with_lock, std::ref(m), std::ref(counter), times));
    }
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int k = 0; k < times; ++k) {
          const std::scoped_lock guard(m);
          ++counter;
        }
      });
    }
    threads.clear();
    for (auto& c : coroutines)
      c.get();
  }
  EXPECT_EQ(counter, 14L * times);
}

task<bool> lock_within(mutex& m, clock::duration limit) {
  auto take = [](mutex& held) -> task<> { co_await held.async_lock(); };
  try {
    co_await timeout(limit, take(m));
  } catch (const timed_out&) {
    co_return false;
  }
  co_return true;
}

TEST(mutex, coroutine_that_times_out_does_not_hold_it) {
  mutex m;
  m.lock();
  EXPECT_FALSE(run(lock_within(m, 1ms)));
  m.unlock();
  EXPECT_TRUE(run(lock_within(m, 1h)));
  m.unlock();
}

task<> lock_impatiently(mutex& m, long& counter, long& entered, int times) {
  for (int i = 0; i < times; ++i) {
    if (!co_await lock_within(m, std::chrono::microseconds(i % 40)))
      continue;
    ++counter;
    ++entered;
    m.unlock();
  }
}

TEST(mutex, is_free_and_its_counter_exact_after_many_waiters_gave_up) {
  mutex m;
  long counter = 0;
  std::vector<long> entered(4);
  {
    test::loop_thread loop;
    std::vector<future<void>> coroutines;
    for (std::size_t i = 0; i < 2; ++i) {
      coroutines.push_back(
          loop->submit(lock_impatiently, std::ref(m), std::ref(counter), std::ref(entered[i]), 200));
    }
    std::vector<std::jthread> threads;
    for (std::size_t i = 2; i < 4; ++i) {
      threads.emplace_back([&, i] {
        std::minstd_rand random(static_cast<unsigned>(i));
        for (int k = 0; k < 1000; ++k) {
          if (!m.try_lock_for(std::chrono::microseconds(random() % 40)))
            continue;
          ++counter;
          ++entered[i];
          m.unlock();
        }
      });
    }
    threads.clear();
    for (auto& c : coroutines)
      c.get();
  }
  EXPECT_TRUE(m.try_lock());
  EXPECT_EQ(counter, entered[0] + entered[1] + entered[2] + entered[3]);
  m.unlock();
}

TEST(mutex, may_be_destroyed_by_the_next_holder) {
  for (int round = 0; round < 500; ++round) {
    struct guarded {
      mutex m;
      bool done = false;
    };
    auto shared = std::make_unique<guarded>();
    std::jthread first([raw = shared.get()] {
      const std::scoped_lock guard(raw->m);
      raw->done = true;
    });
    for (bool done = false; !done;) {
      const std::scoped_lock guard(shared->m);
      done = shared->done;
    }
    shared.reset();
  }
}

} // namespace
} // namespace fourfold
