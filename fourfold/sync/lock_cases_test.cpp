#include <fourfold/base/errors.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/semaphore.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <vector>

// A grant and a cancellation that meet in one turn of the loop, and what becomes of those who wait behind.
namespace fourfold {
namespace {

using namespace std::chrono_literals;

/// What waiting coroutines note: their number once they have it, minus their number when cancelled.
using notes = std::vector<int>;

task<> lock_and_note(mutex& m, notes& to, int number) {
  try {
    co_await m.async_lock();
    to.push_back(number);
  } catch (const cancelled&) {
    to.push_back(-number);
  }
}

task<> acquire_and_note(semaphore& s, notes& to, int number) {
  try {
    co_await s.async_acquire();
    to.push_back(number);
  } catch (const cancelled&) {
    to.push_back(-number);
  }
}

task<> wait_and_note(event& e, notes& to, int number) {
  try {
    co_await e.async_wait();
    to.push_back(number);
  } catch (const cancelled&) {
    to.push_back(-number);
  }
}

task<> wait_without_end(event& e) { co_await e.async_wait(); }

TEST(mutex, granted_before_the_cancellation_is_held_and_the_next_waiter_waits_on) {
  auto body = [](mutex& m, notes& to) -> task<> {
    m.lock();
    future<void> first = spawn(lock_and_note(m, to, 1));
    co_await test::let_others_run();
    future<void> second = spawn(lock_and_note(m, to, 2));
    co_await test::let_others_run();
    m.unlock();
    first.cancel();
    co_await first;
    co_await test::let_others_run();
    EXPECT_EQ(to, notes{1});
    EXPECT_FALSE(m.try_lock());
    m.unlock();
    co_await second;
    m.unlock();
  };
  mutex m;
  notes to;
  run(body(m, to));
  EXPECT_EQ(to, (notes{1, 2}));
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

TEST(mutex, cancelled_before_the_grant_is_passed_over_and_the_next_waiter_has_it) {
  auto body = [](mutex& m, notes& to) -> task<> {
    m.lock();
    future<void> first = spawn(lock_and_note(m, to, 1));
    co_await test::let_others_run();
    future<void> second = spawn(lock_and_note(m, to, 2));
    co_await test::let_others_run();
    first.cancel();
    m.unlock();
    co_await first;
    co_await second;
    m.unlock();
  };
  mutex m;
  notes to;
  run(body(m, to));
  EXPECT_EQ(to.size(), 2U);
  EXPECT_NE(to, (notes{1, 2}));
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

TEST(mutex, whose_only_waiter_was_cancelled_is_free_after_the_unlock) {
  auto body = [](mutex& m, notes& to) -> task<> {
    m.lock();
    future<void> only = spawn(lock_and_note(m, to, 1));
    co_await test::let_others_run();
    only.cancel();
    m.unlock();
    EXPECT_TRUE(m.try_lock());
    co_await only;
    m.unlock();
  };
  mutex m;
  notes to;
  run(body(m, to));
  EXPECT_EQ(to, notes{-1});
}

TEST(mutex, guard_unlocks_it_when_its_holder_throws_or_is_cancelled) {
  auto hold = [](mutex& m, event& forever) -> task<> {
    const auto guard = co_await m.async_scoped_lock();
    co_await forever.async_wait();
  };
  auto hold_and_throw = [](mutex& m) -> task<> {
    const auto guard = co_await m.async_scoped_lock();
    throw std::out_of_range("in the section");
  };
  mutex m;
  event forever;
  EXPECT_THROW(run(timeout(1ms, hold(m, forever))), timed_out);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
  EXPECT_THROW(run(hold_and_throw(m)), std::out_of_range);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

TEST(semaphore, permit_granted_before_the_cancellation_is_taken_and_one_granted_after_goes_on) {
  auto body = [](semaphore& s, notes& to, bool grant_first) -> task<> {
    future<void> first = spawn(acquire_and_note(s, to, 1));
    co_await test::let_others_run();
    future<void> second = spawn(acquire_and_note(s, to, 2));
    co_await test::let_others_run();
    if (grant_first) {
      s.release();
      first.cancel();
    } else {
      first.cancel();
      s.release();
    }
    co_await first;
    co_await test::let_others_run();
    EXPECT_EQ(second.ready(), !grant_first);
    if (grant_first)
      s.release();
    co_await second;
  };
  semaphore s(0);
  notes granted;
  run(body(s, granted, true));
  EXPECT_EQ(granted, (notes{1, 2}));
  EXPECT_EQ(s.available(), 0);
  notes passed_over;
  run(body(s, passed_over, false));
  EXPECT_EQ(passed_over.size(), 2U);
  EXPECT_NE(passed_over, (notes{1, 2}));
  EXPECT_EQ(s.available(), 0);
}

TEST(semaphore, line_closes_up_where_waiters_were_cancelled) {
  auto body = [](semaphore& s, notes& to) -> task<> {
    std::vector<future<void>> waiting;
    for (int i = 1; i <= 6; ++i) {
      waiting.push_back(spawn(acquire_and_note(s, to, i)));
      co_await test::let_others_run();
    }
    for (const std::size_t i : {0U, 2U, 5U}) { // the first, one in the middle, the last
      waiting[i].cancel();
      co_await test::let_others_run();
    }
    EXPECT_EQ(to, (notes{-1, -3, -6}));
    for (int i = 0; i < 4; ++i) {
      s.release();
      co_await test::let_others_run();
    }
    for (auto& w : waiting)
      co_await w;
  };
  semaphore s(0);
  notes to;
  run(body(s, to));
  EXPECT_EQ(to, (notes{-1, -3, -6, 2, 4, 5}));
  EXPECT_EQ(s.available(), 1);
}

TEST(semaphore, who_releases_and_acquires_again_stands_behind_those_who_waited) {
  auto twice = [](semaphore& s, notes& to) -> task<> {
    co_await s.async_acquire();
    to.push_back(1);
    s.release();
    co_await s.async_acquire();
    to.push_back(3);
  };
  auto body = [](semaphore& s, notes& to, auto& first) -> task<> {
    future<void> again = spawn(first(s, to));
    co_await test::let_others_run();
    future<void> second = spawn(acquire_and_note(s, to, 2));
    co_await test::let_others_run();
    s.release();
    co_await second;
    EXPECT_FALSE(again.ready());
    s.release();
    co_await again;
  };
  semaphore s(0);
  notes to;
  run(body(s, to, twice));
  EXPECT_EQ(to, (notes{1, 2, 3}));
}

TEST(semaphore, one_release_of_many_passes_over_those_that_were_cancelled_in_the_same_turn) {
  auto body = [](semaphore& s, notes& to) -> task<> {
    std::vector<future<void>> waiting;
    for (int i = 1; i <= 4; ++i) {
      waiting.push_back(spawn(acquire_and_note(s, to, i)));
      co_await test::let_others_run();
    }
    waiting[1].cancel();
    s.release(2);
    waiting[2].cancel(); // it has its permit
    for (std::size_t i = 0; i < 3; ++i)
      co_await waiting[i];
    EXPECT_FALSE(waiting[3].ready());
    s.release();
    co_await waiting[3];
  };
  semaphore s(0);
  notes to;
  run(body(s, to));
  std::sort(to.begin(), to.end());
  EXPECT_EQ(to, (notes{-2, 1, 3, 4}));
  EXPECT_EQ(s.available(), 0);
}

TEST(event, set_and_a_cancellation_in_one_turn_give_each_waiter_the_one_that_came_first) {
  auto body = [](notes& to, bool set_first) -> task<> {
    event e;
    std::vector<future<void>> waiting;
    for (int i = 1; i <= 3; ++i)
      waiting.push_back(spawn(wait_and_note(e, to, i)));
    co_await test::let_others_run();
    if (set_first)
      e.set();
    waiting[1].cancel();
    e.set();
    for (auto& w : waiting)
      co_await w;
  };
  notes set_first;
  run(body(set_first, true));
  std::sort(set_first.begin(), set_first.end());
  EXPECT_EQ(set_first, (notes{1, 2, 3}));
  notes cancelled_first;
  run(body(cancelled_first, false));
  std::sort(cancelled_first.begin(), cancelled_first.end());
  EXPECT_EQ(cancelled_first, (notes{-2, 1, 3}));
}

TEST(event, waiter_that_waits_again_after_set_and_clear_is_not_released_by_the_old_set) {
  auto twice = [](event& e, int& released) -> task<> {
    co_await e.async_wait();
    ++released;
    co_await e.async_wait();
    ++released;
  };
  auto body = [](event& e, int& released, auto& wait) -> task<> {
    future<void> f = spawn(wait(e, released));
    co_await test::let_others_run();
    e.set();
    e.clear();
    co_await test::let_others_run();
    EXPECT_EQ(released, 1);
    e.set();
    co_await f;
  };
  event e;
  int released = 0;
  run(body(e, released, twice));
  EXPECT_EQ(released, 2);
}

TEST(event, one_waiter_that_gave_up_leaves_the_others_waiting) {
  auto body = [](event& e, notes& to) -> task<> {
    future<void> patient = spawn(wait_and_note(e, to, 1));
    try {
      co_await timeout(1ms, wait_without_end(e));
      ADD_FAILURE();
    } catch (const timed_out&) {
    }
    EXPECT_FALSE(patient.ready());
    e.set();
    co_await patient;
  };
  event e;
  notes to;
  run(body(e, to));
  EXPECT_EQ(to, notes{1});
}

} // namespace
} // namespace fourfold
