#include <fourfold/base/errors.hpp>
#include <fourfold/base/sanitizers.hpp>
#include <fourfold/process/killed_child_test.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/process/shared_value.hpp>

#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <chrono>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using test::forked_child;

struct two_longs {
  long first = 0;
  long second = 0;
};

void add(shared_value<long> counter, int times) {
  for (int i = 0; i < times; ++i)
    ++*counter.lock();
}
void die_with_lock(shared_value<long> value) {
  const auto guard = value.lock();
  *guard = -1;
  ::raise(SIGKILL);
}

TEST(shared_value, counts_exactly_over_four_processes) {
  shared_value<long> counter(0);
  process_pool pool({.workers = 4});
  std::vector<future<void>> work;
  for (const int times : {1000, 1000, 1000, 1000, 0})
    work.push_back(pool.submit(add, counter, times));
  for (auto& w : work)
    w.get(60s);
  EXPECT_EQ(counter.get(), 4000);
}

TEST(shared_value, counts_exactly_over_threads) {
  shared_value<long> counter(0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] { add(counter, 2000); });
  for (auto& t : threads)
    t.join();
  EXPECT_EQ(counter.get(), 8000);
}

TEST(shared_value, comes_back_as_a_result) {
  process_pool pool({.workers = 1});
  auto make = [](long n) { return shared_value<long>(n); };
  const shared_value<long> made = pool.submit(make, 7L).get(60s);
  EXPECT_EQ(made.get(), 7);
  pool.submit(add, made, 3).get(60s);
  EXPECT_EQ(made.get(), 10);
}

TEST(shared_value, outlives_the_process_that_made_it) {
  std::optional<shared_value<long>> kept;
  {
    process_pool pool({.workers = 1});
    auto make = [](long n) { return shared_value<long>(n); };
    kept = pool.submit(make, 5L).get(60s);
  }
  kept->set(6);
  EXPECT_EQ(kept->get(), 6);
}

TEST(shared_value, tells_the_next_holder_once_that_the_last_one_died) {
  shared_value<long> value(0);
  process_pool pool({.workers = 1});
  EXPECT_THROW(pool.submit(die_with_lock, value).get(60s), worker_died);
  {
    const auto guard = value.lock(60s);
    EXPECT_TRUE(guard.owner_died());
    EXPECT_EQ(*guard, -1);
    *guard = 0;
  }
  EXPECT_FALSE(value.lock(60s).owner_died());
}

TEST(shared_value, hands_the_lock_of_a_dead_holder_to_a_waiter) {
  shared_value<long> value(0);
  shared_value<int> has_it(0);
  forked_child holder([&] {
    const auto guard = value.lock();
    has_it.set(1);
    ::pause();
  });
  while (has_it.get() == 0)
    std::this_thread::yield();
  std::thread waiter([&] { EXPECT_TRUE(value.lock(60s).owner_died()); });
  EXPECT_THROW(static_cast<void>(value.lock(1ms)), timed_out);
  holder.kill();
  waiter.join();
}

TEST(shared_value, a_waiter_that_is_killed_takes_no_wake_up_with_it) {
  for (int round = 0; round < 5; ++round) {
    shared_value<long> value(0);
    const auto increment = [&] { ++*value.lock(); };
    std::optional<forked_child> first;
    std::optional<forked_child> second;
    {
      const auto guard = value.lock();
      first.emplace(increment);
      test::wait_until_asleep(first->pid());
      second.emplace(increment);
      test::wait_until_asleep(second->pid());
      ::kill(first->pid(), SIGKILL);
    } // mostly wakes the first one, which does not get to take the lock
    first->kill();
    EXPECT_EQ(second->wait(), 0);
    EXPECT_GE(value.get(), 1);
  }
}

TEST(shared_value, gives_up_the_lock_at_the_time_limit_and_when_cancelled) {
  shared_value<long> value(0);
  cancellation_source source;
  const auto guard = value.lock();
  std::thread other([&] {
    EXPECT_THROW(static_cast<void>(value.lock(1ms)), timed_out);
    EXPECT_THROW(static_cast<void>(value.lock(source.token())), cancelled);
  });
  source.request_cancellation();
  other.join();
  EXPECT_THROW(static_cast<void>(value.lock(source.token())), cancelled);
  EXPECT_THROW(static_cast<void>(value.lock()), error) << "this thread has it";
}

TEST(shared_value, locks_nest_in_any_order) {
  std::array<process_mutex, 12> mutexes;
  for (auto& m : mutexes)
    EXPECT_EQ(m.lock(), last_holder::unlocked);
  for (std::size_t i = 0; i < mutexes.size(); ++i)
    mutexes[(i * 5 + 3) % mutexes.size()].unlock();
  for (auto& m : mutexes) {
    EXPECT_EQ(m.lock(1s), last_holder::unlocked);
    m.unlock();
  }
}

TEST(shared_value, all_locks_of_a_dead_holder_are_handed_over) {
  const shared_memory memory = shared_memory::anonymous(12 * sizeof(process_mutex));
  auto* const mutexes = reinterpret_cast<process_mutex*>(memory.data());
  forked_child holder([&] {
    for (int i = 0; i < 12; ++i)
      static_cast<void>(mutexes[i].lock());
    mutexes[5].unlock();
    ::raise(SIGKILL);
  });
  holder.wait();
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(mutexes[i].lock(10s), i == 5 ? last_holder::unlocked : last_holder::died) << i;
    mutexes[i].unlock();
  }
}

TEST(shared_value, a_holder_may_be_killed_at_any_instruction) {
  if (under_thread_sanitizer || under_address_sanitizer)
    GTEST_SKIP() << "a sanitizer adds too many instructions to step through";
  shared_value<two_longs> value;
  const auto change = [&] {
    const auto guard = value.lock();
    ++guard->first;
    ++guard->second;
  };
  const auto check = [&] {
    const auto guard = value.lock(30s);
    if (!guard.owner_died()) {
      EXPECT_EQ(guard->first, guard->second);
    }
    guard->second = guard->first;
  };
  if (!test::kill_everywhere(change, check))
    GTEST_SKIP() << "this system allows no tracing";
}

TEST(shared_value, survives_holders_killed_at_random) {
  shared_value<two_longs> value;
  std::mt19937 random(1);
  for (int i = 0; i < 30; ++i) {
    const auto churn = [&] {
      for (;;) {
        const auto guard = value.lock();
        ++guard->first;
        guard->second = guard->first;
      }
    };
    forked_child one(churn);
    forked_child two(churn);
    const long before = value.unlocked().first;
    while (value.lock(30s)->first < before + static_cast<long>(random() % 200)) {
    }
    one.kill();
    two.kill();
    const auto guard = value.lock(30s);
    if (!guard.owner_died()) {
      EXPECT_EQ(guard->first, guard->second);
    }
    guard->second = guard->first;
  }
}

TEST(shared_array, is_filled_by_many_processes_without_a_lock) {
  shared_array<int> squares(100);
  process_pool pool({.workers = 2});
  auto fill = [](shared_array<int> a, int from) {
    for (int i = from; i < from + 10; ++i)
      a.unlocked()[static_cast<std::size_t>(i)] = i * i;
  };
  std::vector<future<void>> work;
  for (int from = 0; from < 100; from += 10)
    work.push_back(pool.submit(fill, squares, from));
  for (auto& w : work)
    w.get(60s);
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ((*squares.lock())[static_cast<std::size_t>(i)], i * i);
}

TEST(shared_array, refuses_impossible_sizes) {
  EXPECT_THROW(shared_array<int>(0), std::invalid_argument);
  EXPECT_THROW(shared_array<int>(~std::size_t{0}), std::invalid_argument);
}

TEST(shared_array, many_travel_in_one_call) {
  std::vector<shared_value<long>> counters(100, shared_value<long>(0));
  process_pool pool({.workers = 1});
  auto bump = [](std::vector<shared_value<long>> all) {
    for (auto& one : all)
      ++*one.lock();
    return all;
  };
  const auto back = pool.submit(bump, counters).get(60s);
  EXPECT_EQ(counters[0].get(), 100) << "one counter, a hundred handles";
  EXPECT_EQ(back.size(), 100U);
  const std::vector<shared_value<long>> too_many(300, shared_value<long>(0));
  EXPECT_THROW(static_cast<void>(pool.submit(bump, too_many)), error);
}

} // namespace
} // namespace fourfold
