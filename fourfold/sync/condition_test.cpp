#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/condition.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

static_assert(sizeof(condition) == sizeof(wait_list));

/// What the tests wait for: a number that a mutex guards, and the condition that it has changed.
struct guarded_number {
  mutex m;
  condition changed;
  int value = 0;
  std::vector<int> order;

  void add(int n) {
    const std::scoped_lock guard(m);
    value += n;
  }
};

/// Takes one off the number when there is one.
task<> take_one(guarded_number& g, int number) {
  auto lock = co_await g.m.async_scoped_lock();
  while (g.value == 0)
    co_await g.changed.async_wait(lock);
  EXPECT_TRUE(lock.owns_lock());
  --g.value;
  g.order.push_back(number);
}

void take_one_on_a_thread(guarded_number& g, int number) {
  std::unique_lock lock(g.m);
  g.changed.wait(lock, [&] { return g.value != 0; });
  EXPECT_TRUE(lock.owns_lock());
  --g.value;
  g.order.push_back(number);
}

TEST(condition, predicate_that_holds_already_needs_no_wait) {
  guarded_number g;
  std::unique_lock lock(g.m);
  g.changed.wait(lock, [] { return true; });
  g.changed.wait(lock, [] { return true; }, -1s);
  EXPECT_TRUE(lock.owns_lock());
}

TEST(condition, wait_with_a_lock_that_holds_nothing_is_an_error) {
  guarded_number g;
  std::unique_lock lock(g.m, std::defer_lock);
  std::unique_lock<mutex> none;
  EXPECT_THROW(g.changed.wait(lock), not_the_owner);
  EXPECT_THROW(g.changed.wait(none), not_the_owner);
  EXPECT_THROW(static_cast<void>(g.changed.async_wait(lock)), not_the_owner);
  EXPECT_TRUE(g.m.try_lock());
  g.m.unlock();
}

TEST(condition, notification_without_a_waiter_is_not_kept) {
  guarded_number g;
  g.changed.notify_one();
  g.changed.notify_all();
  std::unique_lock lock(g.m);
  EXPECT_THROW(g.changed.wait(lock, 1ms), timed_out);
  EXPECT_TRUE(lock.owns_lock());
}

TEST(condition, notify_one_wakes_the_oldest_of_threads_and_coroutines) {
  guarded_number g;
  test::parking_threads threads;
  test::loop_thread loop;
  std::vector<std::jthread> waiting;
  std::vector<future<void>> awaiting;
  for (int i = 0; i < 6; i += 2) {
    waiting.push_back(threads.start([&, i] { take_one_on_a_thread(g, i); }));
    threads.await_parked(i / 2 + 1);
    awaiting.push_back(loop->submit(take_one, std::ref(g), i + 1));
    loop->submit(test::let_others_run, 2).get(); // behind the coroutine: it has parked
  }
  for (int i = 0; i < 6; ++i) {
    g.add(1);
    g.changed.notify_one();
  }
  waiting.clear();
  for (auto& a : awaiting)
    a.get();
  EXPECT_EQ(g.order, (std::vector{0, 1, 2, 3, 4, 5}));
}

TEST(condition, notify_all_wakes_everybody_in_order_one_after_the_other) {
  guarded_number g;
  test::parking_threads threads;
  test::loop_thread loop;
  std::vector<std::jthread> waiting;
  std::vector<future<void>> awaiting;
  for (int i = 0; i < 6; i += 2) {
    waiting.push_back(threads.start([&, i] { take_one_on_a_thread(g, i); }));
    threads.await_parked(i / 2 + 1);
    awaiting.push_back(loop->submit(take_one, std::ref(g), i + 1));
    loop->submit(test::let_others_run, 2).get();
  }
  {
    const std::scoped_lock guard(g.m);
    g.value = 6;
    g.changed.notify_all(); // with the mutex held: they stand in its line now
    EXPECT_TRUE(g.order.empty());
  }
  waiting.clear();
  for (auto& a : awaiting)
    a.get();
  EXPECT_EQ(g.order, (std::vector{0, 1, 2, 3, 4, 5}));
}

TEST(condition, waiter_whose_time_is_up_holds_the_mutex_again) {
  guarded_number g;
  std::unique_lock lock(g.m);
  EXPECT_THROW(g.changed.wait(lock, 1ms), timed_out);
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_FALSE(g.m.try_lock());
  EXPECT_THROW(g.changed.wait(lock, [] { return false; }, 1ms), timed_out);
  EXPECT_TRUE(lock.owns_lock());
  lock.unlock();
  EXPECT_TRUE(g.m.try_lock());
  g.m.unlock();
}

TEST(condition, waiting_thread_is_cancelled_and_holds_the_mutex_again) {
  guarded_number g;
  cancellation_source source;
  test::parking_threads threads;
  std::jthread waiting = threads.start([&] {
    std::unique_lock lock(g.m);
    EXPECT_THROW(g.changed.wait(lock, source.token()), cancelled);
    EXPECT_TRUE(lock.owns_lock());
    EXPECT_THROW(g.changed.wait(lock, source.token()), cancelled) << "and does not even let go of it";
    EXPECT_TRUE(lock.owns_lock());
  });
  threads.await_parked(1);
  source.request_cancellation();
  waiting.join();
  EXPECT_TRUE(g.m.try_lock());
  g.m.unlock();
}

TEST(condition, predicate_that_throws_leaves_the_mutex_held) {
  guarded_number g;
  std::unique_lock lock(g.m);
  const auto fail = []() -> bool { throw std::out_of_range("in the predicate"); };
  EXPECT_THROW(g.changed.wait(lock, fail), std::out_of_range);
  EXPECT_TRUE(lock.owns_lock());
}

// Cancelled while another holds the mutex: it waits for that, and learns of its cancellation only then.
TEST(condition, cancelled_coroutine_goes_on_when_it_has_the_mutex) {
  auto wait_for_ever = [](guarded_number& g, bool& held) -> task<> {
    auto lock = co_await g.m.async_scoped_lock();
    try {
      co_await g.changed.async_wait(lock);
      ADD_FAILURE();
    } catch (const cancelled&) {
      held = lock.owns_lock();
      throw;
    }
  };
  auto body = [](guarded_number& g, auto& waiter_body) -> task<> {
    bool held = false;
    future<void> waiting = spawn(waiter_body(g, held));
    co_await test::let_others_run();
    co_await g.m.async_lock();
    waiting.cancel();
    co_await test::let_others_run();
    EXPECT_FALSE(waiting.ready());
    g.changed.notify_one(); // too late for it
    g.m.unlock();
    try {
      co_await waiting;
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
    EXPECT_TRUE(held);
    EXPECT_TRUE(g.m.try_lock());
    g.m.unlock();
  };
  guarded_number g;
  run(body(g, wait_for_ever));
}

TEST(condition, notification_and_cancellation_in_one_turn_give_the_waiter_the_one_that_came_first) {
  auto wait_once = [](guarded_number& g) -> task<bool> {
    auto lock = co_await g.m.async_scoped_lock();
    try {
      co_await g.changed.async_wait(lock);
    } catch (const cancelled&) {
      co_return false;
    }
    EXPECT_TRUE(lock.owns_lock());
    co_return true;
  };
  auto body = [](guarded_number& g, auto& waiter_body, bool notify_first) -> task<> {
    future<bool> first = spawn(waiter_body(g));
    co_await test::let_others_run();
    future<bool> second = spawn(waiter_body(g));
    co_await test::let_others_run();
    if (notify_first) {
      g.changed.notify_one();
      first.cancel();
    } else {
      first.cancel();
      g.changed.notify_one();
    }
    EXPECT_EQ(co_await first, notify_first);
    co_await test::let_others_run();
    EXPECT_EQ(second.ready(), !notify_first) << "a notification is not lost on one that was cancelled before";
    g.changed.notify_one();
    EXPECT_TRUE(co_await second);
  };
  guarded_number g;
  run(body(g, wait_once, true));
  run(body(g, wait_once, false));
}

TEST(condition, coroutine_that_is_cancelled_before_its_wait_does_not_let_go_of_the_mutex) {
  auto cancelled_before = [](guarded_number& g, event& entered) -> task<bool> {
    auto lock = co_await g.m.async_scoped_lock();
    try {
      co_await entered.async_wait();
    } catch (const cancelled&) {
    }
    try {
      co_await g.changed.async_wait(lock);
    } catch (const cancelled&) {
      co_return lock.owns_lock();
    }
    co_return false;
  };
  guarded_number g;
  event never_set;
  EXPECT_TRUE(run(timeout(1ms, cancelled_before(g, never_set))));
  EXPECT_TRUE(g.m.try_lock());
  g.m.unlock();
}

TEST(condition, may_be_destroyed_by_whoever_was_notified) {
  for (int round = 0; round < 300; ++round) {
    auto g = std::make_unique<guarded_number>();
    std::jthread notifier([raw = g.get()] {
      const std::scoped_lock guard(raw->m);
      raw->value = 1;
      raw->changed.notify_all();
    });
    {
      std::unique_lock lock(g->m);
      g->changed.wait(lock, [&] { return g->value == 1; });
    }
    g.reset();
  }
}

// T12: a buffer that must never hold more than five.
struct bounded_buffer {
  static constexpr std::size_t capacity = 5;
  mutex m;
  condition not_full;
  condition not_empty;
  std::deque<int> items;
  std::size_t fullest = 0;

  void put(int item) {
    std::unique_lock lock(m);
    not_full.wait(lock, [&] { return items.size() < capacity; });
    push(item);
  }
  int get() {
    std::unique_lock lock(m);
    not_empty.wait(lock, [&] { return !items.empty(); });
    return pop();
  }
  task<> async_put(int item) {
    auto lock = co_await m.async_scoped_lock();
    while (items.size() == capacity)
      co_await not_full.async_wait(lock);
    push(item);
  }
  task<int> async_get() {
    auto lock = co_await m.async_scoped_lock();
    while (items.empty())
      co_await not_empty.async_wait(lock);
    co_return pop();
  }

 private:
  void push(int item) {
    items.push_back(item);
    fullest = std::max(fullest, items.size());
    not_empty.notify_one();
  }
  int pop() {
    const int item = items.front();
    items.pop_front();
    not_full.notify_one();
    return item;
  }
};

constexpr int items_of_example = 1000;

task<> produce(bounded_buffer& buffer) {
  for (int i = 0; i < items_of_example; ++i)
    co_await buffer.async_put(i);
}

task<> consume(bounded_buffer& buffer) {
  for (int i = 0; i < items_of_example; ++i)
    EXPECT_EQ(co_await buffer.async_get(), i);
}

// T12
TEST(condition, two_on_one_mutex_make_a_buffer_of_five_between_a_producer_and_a_consumer) {
  for (const bool producer_is_thread : {true, false}) {
    for (const bool consumer_is_thread : {true, false}) {
      bounded_buffer buffer;
      test::loop_thread loops[2];
      std::vector<std::jthread> threads;
      std::vector<future<void>> coroutines;
      if (producer_is_thread) {
        threads.emplace_back([&] {
          for (int i = 0; i < items_of_example; ++i)
            buffer.put(i);
        });
      } else {
        coroutines.push_back(loops[0]->submit(produce, std::ref(buffer)));
      }
      if (consumer_is_thread) {
        threads.emplace_back([&] {
          for (int i = 0; i < items_of_example; ++i)
            EXPECT_EQ(buffer.get(), i);
        });
      } else {
        coroutines.push_back(loops[1]->submit(consume, std::ref(buffer)));
      }
      threads.clear();
      for (auto& c : coroutines)
        c.get();
      EXPECT_LE(buffer.fullest, bounded_buffer::capacity);
      EXPECT_TRUE(buffer.items.empty());
    }
  }
}

// T12, on one loop
TEST(condition, buffer_of_five_between_coroutines_of_one_loop) {
  bounded_buffer buffer;
  run(gather(produce(buffer), consume(buffer)));
  EXPECT_LE(buffer.fullest, bounded_buffer::capacity);
}

// A notification must go to one that takes it, and not to one that gives up at that moment.
TEST(condition, no_notification_is_lost_while_waiters_give_up) {
  guarded_number g;
  constexpr int notified = 2000;
  std::atomic<int> impatient{0};
  std::atomic<int> patient{0};
  {
    test::loop_thread loop;
    std::vector<future<void>> coroutines;
    std::atomic<bool> done{false};
    auto coroutine_body = [](guarded_number& n, std::atomic<int>& taken, std::atomic<bool>& end,
                             unsigned seed) -> task<> {
      std::minstd_rand random(seed);
      while (!end) {
        try {
          co_await timeout(std::chrono::microseconds(random() % 200), take_one(n, 0));
          ++taken;
        } catch (const timed_out&) {
        }
      }
    };
    for (unsigned i = 0; i < 2; ++i) {
      coroutines.push_back(
          loop->submit(coroutine_body, std::ref(g), std::ref(impatient), std::ref(done), i + 1));
    }
    std::vector<std::jthread> impatient_threads;
    for (unsigned i = 0; i < 2; ++i) {
      impatient_threads.emplace_back([&, i] {
        std::minstd_rand random(i + 11);
        while (!done) {
          cancellation_source source;
          std::jthread canceller;
          if (random() % 16 == 0)
            canceller = std::jthread([&] { source.request_cancellation(); });
          std::unique_lock lock(g.m);
          try {
            g.changed.wait(lock, [&] { return g.value != 0; },
                           {std::chrono::microseconds(random() % 200), source.token()});
            --g.value;
            ++impatient;
          } catch (const error&) {
            EXPECT_TRUE(lock.owns_lock());
          }
        }
      });
    }
    // Each item is one notification. One that was lost would leave an item behind that nobody is woken for.
    std::vector<std::jthread> patient_threads;
    for (int i = 0; i < 2; ++i) {
      patient_threads.emplace_back([&] {
        for (;;) {
          std::unique_lock lock(g.m);
          g.changed.wait(lock, [&] { return g.value != 0 || done; });
          if (g.value == 0)
            return;
          --g.value;
          ++patient;
        }
      });
    }
    for (int i = 0; i < notified; ++i) {
      g.add(1);
      g.changed.notify_one();
    }
    while (patient + impatient < notified)
      std::this_thread::yield();
    {
      const std::scoped_lock guard(g.m);
      done = true;
    }
    g.changed.notify_all();
    patient_threads.clear();
    impatient_threads.clear();
    for (auto& c : coroutines)
      c.get();
  }
  EXPECT_EQ(patient + impatient, notified);
  EXPECT_EQ(g.value, 0);
  EXPECT_TRUE(g.m.try_lock());
  g.m.unlock();
}

TEST(condition_death_test, destruction_while_somebody_waits_aborts_with_a_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        test::parking_threads threads;
        mutex m;
        auto c = std::make_unique<condition>();
        std::jthread waiting = threads.start([&] {
          std::unique_lock lock(m);
          c->wait(lock);
        });
        threads.await_parked(1);
        c.reset();
      },
      "a synchronisation object was destroyed while somebody waits on it");
}

TEST(condition, may_be_destroyed_by_who_was_notified_while_the_limit_of_another_one_passes) {
  test::parking_threads threads;
  mutex m;
  auto c = std::make_unique<condition>();
  bool done = false;
  std::atomic<bool> limit_has_passed = false;
  const std::jthread first = threads.start([&] {
    std::unique_lock lock(m);
    c->wait(lock, [&] { return done; });
    c.reset();
    while (!limit_has_passed)
      std::this_thread::yield(); // with the mutex, for which the other one waits
  });
  threads.await_parked(1);
  const auto limit = clock::now() + 50ms;
  const std::jthread second = threads.start([&] {
    std::unique_lock lock(m);
    try {
      c->wait(lock, limit);
    } catch (const timed_out&) { // on a machine that is slow enough
    }
  });
  threads.await_parked(2);
  {
    const std::scoped_lock guard(m);
    done = true;
    c->notify_all();
  }
  while (clock::now() < limit + 10ms)
    std::this_thread::yield();
  limit_has_passed = true;
}

TEST(condition, a_wait_with_a_lock_whose_mutex_is_not_locked_changes_nothing) {
  mutex m;
  condition c;
  std::unique_lock lock(m);
  m.unlock();
  EXPECT_THROW(c.wait(lock), released_too_often);
  EXPECT_TRUE(lock.owns_lock());
  c.notify_one();
  EXPECT_TRUE(m.try_lock()); // for the unlock at the end of the scope
}

} // namespace
} // namespace fourfold
