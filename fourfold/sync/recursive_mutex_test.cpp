#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/recursive_mutex.hpp>

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

static_assert(sizeof(recursive_mutex) == sizeof(mutex) + 16);

/// Whether another thread could lock it now.
bool is_free(recursive_mutex& m) {
  bool free = false;
  std::jthread([&] {
    free = m.try_lock();
    if (free)
      m.unlock();
  }).join();
  return free;
}

TEST(recursive_mutex, is_free_after_as_many_unlocks_as_locks) {
  recursive_mutex m;
  m.lock();
  m.lock(1h);
  EXPECT_TRUE(m.try_lock());
  EXPECT_TRUE(m.try_lock_for(0s));
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(m.held_by_caller());
    EXPECT_FALSE(is_free(m));
    m.unlock();
  }
  EXPECT_FALSE(m.held_by_caller());
  EXPECT_TRUE(is_free(m));
}

TEST(recursive_mutex, works_with_the_guards_of_the_standard_library) {
  recursive_mutex a;
  recursive_mutex b;
  {
    const std::scoped_lock both(a, b);
    const std::scoped_lock again(b, a);
    std::unique_lock once_more(a, std::defer_lock);
    EXPECT_TRUE(once_more.try_lock_until(clock::now()));
    EXPECT_FALSE(is_free(a));
    EXPECT_FALSE(is_free(b));
  }
  EXPECT_TRUE(is_free(a));
  EXPECT_TRUE(is_free(b));
}

TEST(recursive_mutex, works_with_condition_variable_any) {
  recursive_mutex m;
  std::condition_variable_any changed;
  bool ready = false;
  std::unique_lock guard(m);
  std::jthread setter([&] {
    const std::scoped_lock other(m);
    ready = true;
    changed.notify_one();
  });
  changed.wait(guard, [&] { return ready; });
  EXPECT_TRUE(m.held_by_caller());
}

TEST(recursive_mutex, unlock_by_somebody_who_does_not_hold_it_is_an_error_and_changes_nothing) {
  recursive_mutex m;
  EXPECT_THROW(m.unlock(), not_the_owner);
  m.lock();
  std::jthread([&] {
    EXPECT_FALSE(m.held_by_caller());
    EXPECT_THROW(m.unlock(), not_the_owner);
  }).join();
  EXPECT_FALSE(is_free(m));
  m.unlock();
  EXPECT_THROW(m.unlock(), not_the_owner);
  EXPECT_TRUE(is_free(m));
}

TEST(recursive_mutex, waiting_thread_times_out_or_is_cancelled_and_has_not_locked_it) {
  recursive_mutex m;
  m.lock();
  cancellation_source source;
  test::parking_threads threads;
  std::jthread timed = threads.start([&] {
    EXPECT_THROW(m.lock(1ms), timed_out);
    EXPECT_FALSE(m.try_lock_for(1ms));
  });
  timed.join();
  std::jthread waiting = threads.start([&] {
    EXPECT_THROW(m.lock(source.token()), cancelled);
    EXPECT_THROW(m.unlock(), not_the_owner);
  });
  threads.await_parked(3);
  source.request_cancellation();
  waiting.join();
  m.unlock();
  EXPECT_TRUE(is_free(m));
}

TEST(recursive_mutex, locking_it_again_with_a_cancelled_token_throws_and_does_not_count) {
  recursive_mutex m;
  cancellation_source source;
  source.request_cancellation();
  m.lock();
  EXPECT_THROW(m.lock(source.token()), cancelled);
  m.unlock();
  EXPECT_TRUE(is_free(m));
}

task<> lock_within_the_chain(recursive_mutex& m, int depth) {
  const auto guard = co_await m.async_scoped_lock();
  co_await yield();
  EXPECT_TRUE(m.held_by_caller());
  if (depth > 0)
    co_await lock_within_the_chain(m, depth - 1);
}

TEST(recursive_mutex, is_held_by_the_chain_of_coroutines_across_awaits) {
  auto other = [](recursive_mutex& m, bool& entered) -> task<> {
    EXPECT_FALSE(m.try_lock()) << "the same thread, and another chain";
    EXPECT_THROW(m.unlock(), not_the_owner);
    co_await m.async_lock();
    entered = true;
    m.unlock();
  };
  auto body = [](recursive_mutex& m, auto& start_other) -> task<> {
    co_await lock_within_the_chain(m, 40);
    EXPECT_FALSE(m.held_by_caller());
    co_await m.async_lock();
    bool entered = false;
    future<void> waiting = spawn(start_other(m, entered));
    co_await test::let_others_run();
    co_await m.async_lock(); // goes past those who wait: it is the owner's
    m.unlock();
    co_await test::let_others_run();
    EXPECT_FALSE(entered);
    m.unlock();
    co_await waiting;
    EXPECT_TRUE(entered);
  };
  recursive_mutex m;
  run(body(m, other));
  EXPECT_TRUE(is_free(m));
}

TEST(recursive_mutex, blocking_form_and_awaited_form_are_one_owner_in_a_coroutine) {
  auto body = [](recursive_mutex& m) -> task<> {
    m.lock();
    co_await yield();
    co_await m.async_lock();
    m.unlock();
    EXPECT_FALSE(is_free(m));
    m.unlock();
  };
  recursive_mutex m;
  run(body(m));
  EXPECT_TRUE(is_free(m));
}

TEST(recursive_mutex, coroutine_that_times_out_has_not_locked_it) {
  auto take = [](recursive_mutex& m) -> task<> { co_await m.async_lock(); };
  recursive_mutex m;
  m.lock();
  EXPECT_THROW(run(timeout(1ms, take(m))), timed_out);
  m.unlock();
  EXPECT_TRUE(is_free(m));
}

// No starvation: an owner that locks again and again comes behind those who have waited longer.
TEST(recursive_mutex, threads_and_coroutines_get_it_in_the_order_in_which_they_came) {
  auto lock_in_turn = [](recursive_mutex& m, std::vector<int>& order, int number) -> task<> {
    const auto guard = co_await m.async_scoped_lock();
    order.push_back(number);
  };
  recursive_mutex m;
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
  m.unlock();
  m.lock();
  order.push_back(6);
  m.unlock();
  waiting.clear();
  for (auto& a : awaiting)
    a.get();
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4, 5, 6}));
}

task<> count_up_twice(recursive_mutex& m, long& counter, int times) {
  for (int i = 0; i < times; ++i) {
    const auto guard = co_await m.async_scoped_lock();
    const long read = counter;
    if (i % 16 == 0)
      co_await yield();
    const auto again = co_await m.async_scoped_lock();
    counter = read + 1;
  }
}

TEST(recursive_mutex, counter_is_exact_while_some_waiters_give_up) {
  recursive_mutex m;
  long counter = 0;
  long given_up = 0;
  constexpr int times = 300;
  {
    test::loop_thread loops[2];
    std::vector<future<void>> coroutines;
    for (auto& l : loops) {
      for (int i = 0; i < 3; ++i)
        coroutines.push_back(l->submit(count_up_twice, std::ref(m), std::ref(counter), times));
    }
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < 3; ++i) {
      threads.emplace_back([&, i] {
        std::minstd_rand random(i + 1);
        long missed = 0;
        for (int k = 0; k < times; ++k) {
          if (!m.try_lock_for(std::chrono::microseconds(random() % 200))) {
            ++missed;
            continue;
          }
          const std::scoped_lock again(m);
          ++counter;
          m.unlock();
        }
        const std::scoped_lock guard(m);
        given_up += missed;
      });
    }
    threads.clear();
    for (auto& c : coroutines)
      c.get();
  }
  EXPECT_EQ(counter + given_up, 9L * times);
  EXPECT_TRUE(is_free(m));
}

} // namespace
} // namespace fourfold
