#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/sync/future.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/queue.hpp>
#include <fourfold/sync/recursive_mutex.hpp>
#include <fourfold/thread/thread_pool.hpp>
#include <fourfold/watch/watch_test.hpp>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <vector>

// What looks like a deadlock and is none: nothing is reported.

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using watching::patience;
using watching::recorded_detection;

constexpr int rounds = 200;

template <class F>
void on_two_threads(F f) {
  const std::jthread other([&] { f(1); });
  f(0);
}

TEST(innocent_program, tries_a_second_lock_in_any_order) {
  const recorded_detection detection;
  std::array<mutex, 2> locks;
  on_two_threads([&](std::size_t self) {
    for (int i = 0; i < rounds; ++i) {
      const std::scoped_lock mine(locks.at(self));
      if (locks.at(1 - self).try_lock())
        locks.at(1 - self).unlock();
    }
  });
  detection.expect_nothing();
}

TEST(innocent_program, lets_scoped_lock_take_two_in_either_order) {
  const recorded_detection detection;
  std::array<mutex, 2> locks;
  on_two_threads([&](std::size_t self) {
    for (int i = 0; i < rounds; ++i)
      const std::scoped_lock both(locks.at(self), locks.at(1 - self));
  });
  detection.expect_nothing();
}

TEST(innocent_program, locks_pairs_in_the_order_of_their_addresses) {
  const recorded_detection detection;
  std::array<mutex, 4> of_one_place;
  mutex of_another_place;
  std::vector<mutex*> locks{&of_another_place};
  for (mutex& m : of_one_place)
    locks.push_back(&m);
  std::sort(locks.begin(), locks.end());
  on_two_threads([&](std::size_t) {
    for (std::size_t i = 0; i < locks.size(); ++i) {
      for (std::size_t j = i + 1; j < locks.size(); ++j) {
        const std::scoped_lock lower(*locks[i]);
        const std::scoped_lock higher(*locks[j]);
      }
    }
  });
  detection.expect_nothing();
}

TEST(innocent_program, walks_a_list_hand_over_hand) {
  const recorded_detection detection;
  std::array<mutex, 8> nodes;
  on_two_threads([&](std::size_t) {
    for (int i = 0; i < rounds / 10; ++i) {
      std::unique_lock<mutex> here(nodes.front());
      for (std::size_t at = 1; at < nodes.size(); ++at)
        here = [&] {
          std::unique_lock<mutex> next(nodes.at(at));
          return next;
        }();
    }
  });
  detection.expect_nothing();
}

TEST(innocent_program, unlocks_on_another_thread_what_one_has_locked) {
  const recorded_detection detection;
  mutex m;
  event locked;
  event unlocked;
  on_two_threads([&](std::size_t self) {
    if (self == 0) {
      m.lock();
      locked.set();
      unlocked.wait(patience);
      m.lock();
      m.unlock();
    } else {
      locked.wait(patience);
      m.unlock();
      unlocked.set();
    }
  });
  detection.expect_nothing();
}

TEST(innocent_program, waits_for_a_lock_that_it_has_passed_on) {
  const recorded_detection detection(
      {.action = on_deadlock::throw_error, .look_every = std::chrono::hours(1)});
  for (int i = 0; i < rounds; ++i) {
    mutex m;
    std::unique_lock mine(m);
    const std::jthread other([passed_on = std::move(mine)]() mutable { passed_on.unlock(); });
    const std::scoped_lock again(m);
  }
  detection.expect_nothing();
}

TEST(innocent_program, waits_for_a_job_that_needs_a_lock_which_another_job_will_unlock) {
  const recorded_detection detection(
      {.action = on_deadlock::throw_error, .look_every = std::chrono::hours(1)});
  thread_pool pool({.threads = 1});
  mutex m;
  m.lock();
  auto locking = pool.submit([&] { const std::scoped_lock guard(m); });
  auto unlocking = pool.submit([&] { m.unlock(); });
  locking.get();
  unlocking.get();
  detection.expect_nothing();
}

TEST(innocent_program, waits_with_a_condition_variable) {
  const recorded_detection detection;
  mutex m;
  std::condition_variable_any changed;
  int turn = 0;
  on_two_threads([&](std::size_t self) {
    for (int i = 0; i < rounds / 10; ++i) {
      std::unique_lock<mutex> lock(m);
      changed.wait(lock, [&] { return turn % 2 == static_cast<int>(self); });
      ++turn;
      changed.notify_all();
    }
  });
  detection.expect_nothing();
}

TEST(innocent_program, ends_a_circle_by_a_time_limit_of_a_thread) {
  const recorded_detection detection;
  mutex m;
  const std::scoped_lock guard(m);
  EXPECT_THROW(m.lock(1ms), timed_out);
  EXPECT_FALSE(m.try_lock_for(1ms));
  detection.expect_nothing();
}

task<> lock_and_unlock(mutex& m) {
  co_await m.async_lock();
  m.unlock();
}

task<bool> runs_out_of_time(task<> work) {
  try {
    co_await timeout(1ms, std::move(work));
  } catch (const timed_out&) {
    co_return true;
  }
  co_return false;
}

TEST(innocent_program, ends_a_circle_by_a_time_limit_around_a_task) {
  const recorded_detection detection;
  mutex m;
  auto lock_again = [&]() -> task<> {
    const auto guard = co_await m.async_scoped_lock();
    const bool ended = co_await runs_out_of_time(lock_and_unlock(m));
    EXPECT_TRUE(ended);
    // Also when the limit is around a group, and the lock is wanted by a child.
    auto body = [&](task_group& group) -> task<> {
      group.spawn(lock_and_unlock(m));
      co_return;
    };
    const bool group_ended = co_await runs_out_of_time(with_task_group(body));
    EXPECT_TRUE(group_ended);
  };
  run(lock_again());
  detection.expect_nothing();
}

TEST(innocent_program, cancels_a_call_that_wants_its_lock_and_waits_for_its_end) {
  const recorded_detection detection;
  mutex m;
  for (int i = 0; i < 20; ++i) {
    loop l;
    event begun;
    auto wants_the_lock = [&]() -> task<> {
      begun.set();
      co_await m.async_lock();
      m.unlock();
    };
    event done;
    auto wait_for_the_end = [&]() -> task<> { co_await done.async_wait(); };
    const std::jthread loop_thread([&] { l.run(wait_for_the_end()); });
    {
      const std::scoped_lock guard(m);
      auto result = l.submit(wants_the_lock);
      begun.wait(patience);
      EXPECT_TRUE(result.cancel());
      EXPECT_THROW(result.get(), cancelled);
    }
    done.set();
  }
  detection.expect_nothing();
}

TEST(innocent_program, hands_a_contended_mutex_around_threads_and_tasks) {
  const recorded_detection detection;
  mutex m;
  int count = 0;
  auto add = [&]() -> task<> {
    for (int i = 0; i < rounds; ++i) {
      const auto guard = co_await m.async_scoped_lock();
      ++count;
    }
  };
  {
    const std::jthread other([&] {
      for (int i = 0; i < rounds; ++i) {
        const std::scoped_lock guard(m);
        ++count;
      }
    });
    auto both = [&]() -> task<> { co_await gather(add(), add()); };
    run(both());
  }
  EXPECT_EQ(count, 3 * rounds);
  detection.expect_nothing();
}

TEST(innocent_program, waits_for_jobs_that_wait_for_jobs) {
  const recorded_detection detection;
  thread_pool pool({.threads = 2});
  mutex m;
  auto leaf = [&](int i) {
    const std::scoped_lock guard(m);
    return i;
  };
  auto branch = [&](int i) { return pool.submit(leaf, i).get() + pool.submit(leaf, i).get(); };
  auto root = [&]() -> task<int> {
    int sum = 0;
    std::vector<future<int>> results;
    for (int i = 0; i < rounds; ++i)
      results.push_back(pool.submit(branch, 1));
    for (auto& result : results)
      sum += co_await result;
    co_return sum;
  };
  EXPECT_EQ(run(root()), 2 * rounds);
  detection.expect_nothing();
}

TEST(innocent_program, locks_again_what_it_holds) {
  const recorded_detection detection;
  recursive_mutex m;
  on_two_threads([&](std::size_t) {
    for (int i = 0; i < rounds; ++i) {
      const std::scoped_lock once(m);
      const std::scoped_lock again(m);
      EXPECT_TRUE(m.try_lock());
      m.unlock();
    }
  });
  auto nested = [&]() -> task<> {
    const auto once = co_await m.async_scoped_lock();
    const auto again = co_await m.async_scoped_lock();
  };
  run(nested());
  detection.expect_nothing();
}

TEST(innocent_program, sends_items_around_a_ring_of_queues) {
  const recorded_detection detection;
  queue<int> there(1);
  queue<int> back(1);
  on_two_threads([&](std::size_t self) {
    for (int i = 0; i < rounds; ++i) {
      if (self == 0) {
        there.put(i, patience);
        EXPECT_EQ(back.get(patience), i);
      } else {
        back.put(there.get(patience), patience);
      }
    }
  });
  detection.expect_nothing();
}

} // namespace
} // namespace fourfold
