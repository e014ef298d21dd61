#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/semaphore.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <limits>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

TEST(semaphore, gives_as_many_permits_as_it_has) {
  semaphore s(2);
  EXPECT_EQ(s.available(), 2);
  s.acquire();
  EXPECT_TRUE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire());
  EXPECT_EQ(s.available(), 0);
  s.release(2);
  EXPECT_EQ(s.available(), 2);
}

TEST(semaphore, refuses_numbers_that_cannot_be) {
  EXPECT_THROW(semaphore(-1), std::invalid_argument);
  EXPECT_THROW(semaphore(3, 2), std::invalid_argument);
  EXPECT_THROW(semaphore(std::numeric_limits<std::ptrdiff_t>::max(), 2), std::invalid_argument);
  EXPECT_THROW(semaphore(0, std::numeric_limits<std::ptrdiff_t>::max()), std::invalid_argument);
  semaphore s(1, 4);
  EXPECT_THROW(s.release(0), released_too_often);
  EXPECT_THROW(s.release(-1), released_too_often);
  EXPECT_THROW(s.release(std::numeric_limits<std::ptrdiff_t>::max()), released_too_often);
  EXPECT_EQ(s.available(), 1);
}

TEST(semaphore, release_above_the_maximum_is_an_error_and_changes_nothing) {
  semaphore s(1, 2);
  s.release();
  EXPECT_THROW(s.release(), released_too_often);
  EXPECT_EQ(s.available(), 2);
  s.acquire();
  EXPECT_THROW(s.release(2), released_too_often);
  EXPECT_EQ(s.available(), 1);
}

TEST(semaphore, bounded_has_all_its_permits_and_refuses_one_more) {
  semaphore s = semaphore::bounded(3);
  EXPECT_EQ(s.available(), 3);
  EXPECT_THROW(s.release(), released_too_often);
  s.acquire();
  s.release();
  EXPECT_THROW(s.release(), released_too_often);
  EXPECT_EQ(s.available(), 3);
}

TEST(semaphore, release_above_the_maximum_is_an_error_after_a_waiter_gave_up) {
  semaphore s(0, 1);
  EXPECT_THROW(s.acquire(1ms), timed_out);
  s.release();
  EXPECT_THROW(s.release(), released_too_often);
  EXPECT_EQ(s.available(), 1);
}

TEST(semaphore, without_a_maximum_takes_any_number_of_releases) {
  semaphore s(0);
  s.release(semaphore::unlimited);
  EXPECT_EQ(s.available(), semaphore::unlimited);
  EXPECT_THROW(s.release(), released_too_often);
  EXPECT_TRUE(s.try_acquire());
}

TEST(semaphore, waiting_thread_times_out_without_a_permit) {
  semaphore s(0);
  EXPECT_THROW(s.acquire(1ms), timed_out);
  EXPECT_THROW(s.acquire(clock::now()), timed_out);
  EXPECT_THROW(s.acquire(clock::time_point::min()), timed_out);
  s.release();
  EXPECT_TRUE(s.try_acquire());
}

TEST(semaphore, expired_limit_still_takes_a_free_permit_and_a_cancelled_token_does_not) {
  semaphore s(2);
  s.acquire(0s);
  cancellation_source source;
  source.request_cancellation();
  EXPECT_THROW(s.acquire(source.token()), cancelled);
  EXPECT_EQ(s.available(), 1);
}

TEST(semaphore, waiting_thread_is_cancelled_from_another) {
  semaphore s(0);
  cancellation_source source;
  test::parking_threads threads;
  std::jthread waiting = threads.start([&] { EXPECT_THROW(s.acquire(source.token()), cancelled); });
  threads.await_parked(1);
  source.request_cancellation();
  waiting.join();
  s.release();
  EXPECT_EQ(s.available(), 1);
}

TEST(semaphore, threads_are_served_first_come_first_served_and_a_newcomer_does_not_overtake) {
  semaphore s(0);
  test::parking_threads threads;
  std::vector<int> order;
  std::vector<std::jthread> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.push_back(threads.start([&, i] {
      s.acquire();
      order.push_back(i); // one at a time: the permit goes on when this is done
      s.release();
    }));
    threads.await_parked(i + 1);
  }
  EXPECT_FALSE(s.try_acquire());
  s.release();
  waiting.clear();
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3}));
  EXPECT_EQ(s.available(), 1);
}

task<> take_in_turn(semaphore& s, std::vector<int>& order, int number) {
  co_await s.async_acquire();
  order.push_back(number);
  s.release();
}

TEST(semaphore, coroutines_are_served_first_come_first_served) {
  const test::in_order_of_readiness kept("who is spawned first comes first");
  semaphore s(0);
  std::vector<int> order;
  auto body = [](semaphore& sem, std::vector<int>& done) -> task<> {
    std::vector<future<void>> waiting;
    for (int i = 0; i < 4; ++i)
      waiting.push_back(spawn(take_in_turn(sem, done, i)));
    co_await test::let_others_run();
    EXPECT_TRUE(done.empty());
    EXPECT_FALSE(sem.try_acquire());
    sem.release();
    for (auto& w : waiting)
      co_await w;
  };
  run(body(s, order));
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3}));
  EXPECT_EQ(s.available(), 1);
}

TEST(semaphore, threads_and_coroutines_stand_in_one_line) {
  semaphore s(0);
  std::vector<int> order;
  test::parking_threads threads;
  test::loop_thread loop;
  std::jthread first = threads.start([&] {
    s.acquire();
    order.push_back(0);
    s.release();
  });
  threads.await_parked(1);
  auto second = loop->submit(take_in_turn, std::ref(s), std::ref(order), 1);
  loop->submit(test::let_others_run, 10).get(); // it has parked, in any order of readiness
  std::jthread third = threads.start([&] {
    s.acquire();
    order.push_back(2);
    s.release();
  });
  threads.await_parked(2);
  s.release();
  first.join();
  second.get();
  third.join();
  EXPECT_EQ(order, (std::vector{0, 1, 2}));
}

TEST(semaphore, one_release_of_many_serves_as_many_waiters) {
  semaphore s(0, 5);
  test::parking_threads threads;
  std::vector<std::jthread> waiting;
  for (int i = 0; i < 3; ++i)
    waiting.push_back(threads.start([&] { s.acquire(); }));
  threads.await_parked(3);
  s.release(5);
  waiting.clear();
  EXPECT_EQ(s.available(), 2);
}

task<bool> acquire_within(semaphore& s, clock::duration limit) {
  auto take = [](semaphore& sem) -> task<> { co_await sem.async_acquire(); };
  try {
    co_await timeout(limit, take(s));
    co_return true;
  } catch (const timed_out&) {
    co_return false;
  }
}

TEST(semaphore, coroutine_that_times_out_takes_no_permit_and_leaves_the_line) {
  semaphore s(0);
  EXPECT_FALSE(run(acquire_within(s, 1ms)));
  s.release();
  EXPECT_EQ(s.available(), 1);
  EXPECT_TRUE(run(acquire_within(s, 1h)));
  EXPECT_EQ(s.available(), 0);
}

TEST(semaphore, may_be_destroyed_by_whoever_was_let_through) {
  for (int round = 0; round < 500; ++round) {
    auto* s = new semaphore(0);
    std::jthread releaser([s] { s->release(); });
    s->acquire();
    delete s;
  }
}

// Each holder counts itself in and out; permits and holders together never change.
struct guarded_section {
  explicit guarded_section(std::ptrdiff_t permits) : slots(permits, permits) {}
  semaphore slots;
  std::atomic<int> inside{0};
  std::atomic<int> high_water{0};

  void enter() {
    const int now = ++inside;
    int seen = high_water;
    while (seen < now && !high_water.compare_exchange_weak(seen, now)) {
    }
  }
  void leave() {
    --inside;
    slots.release();
  }
};

task<> pass_through(guarded_section& section, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    co_await section.slots.async_acquire();
    section.enter();
    co_await yield();
    section.leave();
  }
}

// T13
TEST(semaphore, at_most_as_many_as_permits_are_inside_of_the_section) {
  for (const int permits : {3, 5}) {
    guarded_section section(permits);
    {
      test::loop_thread loop;
      std::vector<future<void>> coroutines;
      for (int i = 0; i < 10; ++i)
        coroutines.push_back(loop->submit(pass_through, std::ref(section), 20));
      std::vector<std::jthread> threads;
      for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
          for (int k = 0; k < 200; ++k) {
            section.slots.acquire();
            section.enter();
            section.leave();
          }
        });
      }
      threads.clear();
      for (auto& c : coroutines)
        c.get();
    }
    EXPECT_LE(section.high_water, permits);
    EXPECT_GT(section.high_water, 0);
    EXPECT_EQ(section.slots.available(), permits);
  }
}

task<> pass_through_impatiently(guarded_section& section, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    if (!co_await acquire_within(section.slots, std::chrono::microseconds(i % 50)))
      continue;
    section.enter();
    co_await yield();
    section.leave();
  }
}

// A permit that is granted while its waiter times out or is cancelled must go to exactly one of them.
TEST(semaphore, withdrawn_waiters_lose_no_permit) {
  constexpr int permits = 2;
  guarded_section section(permits);
  {
    test::loop_thread loop;
    std::vector<future<void>> coroutines;
    for (int i = 0; i < 5; ++i)
      coroutines.push_back(loop->submit(pass_through_impatiently, std::ref(section), 200));
    std::vector<std::jthread> threads;
    for (unsigned seed = 0; seed < 3; ++seed) {
      threads.emplace_back([&, seed] {
        std::minstd_rand random(seed + 1);
        for (int k = 0; k < 300; ++k) {
          cancellation_source source;
          std::jthread canceller;
          if (k % 10 == 0)
            canceller = std::jthread([&] { source.request_cancellation(); });
          try {
            section.slots.acquire({std::chrono::microseconds(random() % 100), source.token()});
          } catch (const error&) {
            continue;
          }
          section.enter();
          section.leave();
        }
      });
    }
    threads.clear();
    for (auto& c : coroutines)
      c.get();
  }
  EXPECT_LE(section.high_water, permits);
  EXPECT_EQ(section.slots.available(), permits);
}

// Many permits in one release, to waiters of which some are giving up at that moment.
TEST(semaphore, release_of_many_conserves_permits_while_waiters_time_out) {
  semaphore s(0);
  constexpr int rounds = 400;
  constexpr int takers = 3;
  std::atomic<int> taken{0};
  std::vector<std::jthread> threads;
  std::atomic<bool> stop{false};
  for (unsigned seed = 0; seed < takers; ++seed) {
    threads.emplace_back([&, seed] {
      std::minstd_rand random(seed + 1);
      while (!stop) {
        try {
          s.acquire(std::chrono::microseconds(random() % 60));
          ++taken;
        } catch (const timed_out&) {
        }
      }
    });
  }
  for (int i = 0; i < rounds; ++i) {
    s.release(takers);
    std::this_thread::yield();
  }
  stop = true;
  threads.clear();
  EXPECT_EQ(taken + s.available(), rounds * takers);
}

// Several releasers meet the leftover of a waiter that gave up, while others take permits without the lock.
TEST(semaphore, concurrent_releases_conserve_permits_after_waiters_gave_up) {
  semaphore s(0);
  std::atomic<std::ptrdiff_t> balance{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 5000; ++k) {
        if (k % 16 == i) {
          try {
            s.acquire(1us);
            --balance;
          } catch (const timed_out&) {
          }
        }
        s.release();
        ++balance;
        if (s.try_acquire())
          --balance;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(s.available(), balance);
  std::ptrdiff_t left = 0;
  while (s.try_acquire())
    ++left;
  EXPECT_EQ(left, balance);
}

} // namespace
} // namespace fourfold
