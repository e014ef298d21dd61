#include <fourfold/base/errors.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/queue.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

// Items put and got many at once, and those who wait until all are done.
namespace fourfold {
namespace {

using namespace std::chrono_literals;

static_assert(sizeof(queue<int>) <= 160 && sizeof(priority_queue<int>) <= 128);

std::vector<int> numbers(int first, int end) {
  std::vector<int> all(static_cast<std::size_t>(end - first));
  std::iota(all.begin(), all.end(), first);
  return all;
}

TEST(queue, takes_a_batch_at_once_and_gives_as_many_as_are_asked_for) {
  queue<int> q;
  std::vector<int> items = numbers(0, 5);
  std::span<int> left(items);
  q.put_all(left);
  EXPECT_TRUE(left.empty());
  q.put_all(left); // nothing
  EXPECT_EQ(q.get_some(2), (std::vector{0, 1}));
  EXPECT_EQ(q.get_some(100), (std::vector{2, 3, 4}));
  EXPECT_THROW(q.get_some(1, 1ms), timed_out);
  EXPECT_THROW(q.get_some(0), std::invalid_argument);
  q.put(5);
  q.close();
  EXPECT_THROW(q.put_all(left = items), queue_closed);
  EXPECT_EQ(left.size(), 5U);
  EXPECT_EQ(q.get_some(100), std::vector{5});
  EXPECT_TRUE(q.get_some(100).empty()) << "closed and drained";
}

TEST(queue, batch_waits_for_room_and_stays_together) {
  queue<int> q(2);
  std::vector<int> items = numbers(0, 6);
  std::span<int> left(items);
  test::parking_threads threads;
  std::jthread producer = threads.start([&] { q.put_all(left); });
  threads.await_parked(1);
  EXPECT_EQ(q.size(), 2U);
  std::jthread later = threads.start([&] { q.put(6); });
  threads.await_parked(2);
  for (int i = 0; i < 7; ++i)
    EXPECT_EQ(q.get(), i);
  producer.join();
  later.join();
  EXPECT_TRUE(left.empty());
}

TEST(queue, batch_that_gives_up_says_what_is_not_put) {
  queue<std::unique_ptr<int>> q(2);
  std::vector<std::unique_ptr<int>> items(5);
  for (int i = 0; i < 5; ++i)
    items[static_cast<std::size_t>(i)] = std::make_unique<int>(i);
  std::span<std::unique_ptr<int>> left(items);
  EXPECT_THROW(q.put_all(left, 1ms), timed_out);
  ASSERT_EQ(left.size(), 3U);
  EXPECT_EQ(*left.front(), 2);
  cancellation_source source;
  test::parking_threads threads;
  std::jthread producer = threads.start([&] { EXPECT_THROW(q.put_all(left, source.token()), cancelled); });
  threads.await_parked(1);
  EXPECT_EQ(*q.get(), 0); // lets one more in
  source.request_cancellation();
  producer.join();
  ASSERT_EQ(left.size(), 2U);
  EXPECT_EQ(*left.front(), 3);
  EXPECT_EQ(*q.get(), 1);
  EXPECT_EQ(*q.get(), 2);
  EXPECT_EQ(q.size(), 0U);
}

TEST(queue, close_ends_a_waiting_batch_and_keeps_what_was_put) {
  auto put_all = [](queue<int>& q, std::span<int>& left) -> task<> {
    try {
      co_await q.async_put_all(left);
      ADD_FAILURE();
    } catch (const queue_closed&) {
    }
  };
  queue<int> q(2);
  std::vector<int> items = numbers(0, 5);
  std::span<int> left(items);
  test::loop_thread loop;
  auto putting = loop->submit(put_all, std::ref(q), std::ref(left));
  loop->submit(test::let_others_run, 2).get(); // behind the coroutine: it has parked
  q.close();
  putting.get();
  EXPECT_EQ(left.size(), 3U);
  EXPECT_EQ(q.get_some(5), (std::vector{0, 1}));
}

TEST(queue, batch_serves_waiting_getters_first_come_first_served) {
  auto get_some = [](queue<int>& q) -> task<std::vector<int>> { co_return co_await q.async_get_some(10); };
  queue<int> q;
  test::parking_threads threads;
  test::loop_thread loop;
  std::jthread first = threads.start([&] { EXPECT_EQ(q.get(), 0); });
  threads.await_parked(1);
  auto second = loop->submit(get_some, std::ref(q));
  loop->submit(test::let_others_run, 2).get();
  std::vector<int> items = numbers(0, 4);
  std::span<int> left(items);
  q.put_all(left);
  EXPECT_EQ(second.get(), (std::vector{1, 2, 3})) << "what was handed over and what is there";
  first.join();
}

TEST(queue, get_some_without_capacity_takes_from_each_waiting_producer) {
  auto put = [](queue<int>& q, int item) -> task<> { co_await q.async_put(item); };
  auto body = [](auto& put_one) -> task<> {
    queue<int> q(0);
    std::vector<future<void>> producers;
    for (int i = 0; i < 2; ++i) {
      producers.push_back(spawn(put_one(q, i)));
      co_await test::let_others_run();
    }
    std::vector<int> got = co_await q.async_get_some(10);
    while (got.size() < 2)
      got.push_back(co_await q.async_get());
    EXPECT_EQ(got, (std::vector{0, 1}));
    for (auto& p : producers)
      co_await p;
  };
  run(body(put));
}

// An item that can be moved a number of times, and then throws once.
struct fragile {
  explicit fragile(int n) : number(n) {}
  fragile(fragile&& other) : number(other.number) {
    if (armed && moves_left-- == 0) {
      armed = false;
      throw std::runtime_error("cannot move");
    }
  }
  fragile& operator=(fragile&&) = delete;
  static inline bool armed = false;
  static inline int moves_left = 0;
  int number;

  static void fail_after(int moves) {
    armed = true;
    moves_left = moves;
  }
};

TEST(queue, error_in_the_midst_of_a_batch_loses_no_item) {
  queue<fragile> q;
  std::vector<fragile> items;
  items.reserve(4);
  for (int i = 0; i < 4; ++i)
    items.emplace_back(i);
  std::span<fragile> left(items);
  fragile::fail_after(2);
  EXPECT_THROW(q.put_all(left), std::runtime_error);
  ASSERT_EQ(left.size(), 2U);
  EXPECT_EQ(left.front().number, 2);
  q.put_all(left);
  fragile::fail_after(2);
  EXPECT_EQ(q.get_some(4).size(), 2U) << "what came before the error";
  fragile::fail_after(0);
  EXPECT_THROW(q.get_some(4), std::runtime_error);
  const std::vector<fragile> rest = q.get_some(4);
  ASSERT_EQ(rest.size(), 2U);
  EXPECT_EQ(rest[0].number, 2);
  EXPECT_EQ(rest[1].number, 3);
}

TEST(queue, error_in_the_midst_of_a_batch_wakes_the_getters_that_were_served) {
  queue<fragile> q;
  test::parking_threads threads;
  std::jthread getter = threads.start([&] { EXPECT_EQ(q.get().number, 0); });
  threads.await_parked(1);
  std::vector<fragile> items;
  items.reserve(2);
  items.emplace_back(0);
  items.emplace_back(1);
  std::span<fragile> left(items);
  fragile::fail_after(1);
  EXPECT_THROW(q.put_all(left), std::runtime_error);
  getter.join();
  EXPECT_EQ(left.size(), 1U);
}

TEST(queue, join_waits_until_every_item_is_done) {
  auto join = [](queue<int>& q) -> task<> { co_await q.async_join(); };
  queue<int> q;
  q.join();
  run(join(q));
  for (int i = 0; i < 3; ++i)
    q.put(i);
  test::parking_threads threads;
  test::loop_thread loop;
  std::jthread joining = threads.start([&] { q.join(); });
  auto awaiting = loop->submit(join, std::ref(q));
  threads.await_parked(1);
  loop->submit(test::let_others_run, 2).get();
  EXPECT_EQ(q.get_some(3).size(), 3U);
  q.task_done();
  EXPECT_THROW(q.join(1ms), timed_out) << "got is not done";
  EXPECT_FALSE(awaiting.ready());
  q.task_done(2);
  joining.join();
  awaiting.get();
  EXPECT_THROW(q.task_done(), released_too_often);
  q.join();
}

TEST(queue, join_is_cancelled_and_counts_items_that_went_from_hand_to_hand) {
  auto join = [](queue<int>& q) -> task<> { co_await q.async_join(); };
  queue<int> q(0);
  test::parking_threads threads;
  std::jthread producer = threads.start([&] { q.put(1); });
  threads.await_parked(1);
  EXPECT_EQ(q.get(), 1);
  EXPECT_THROW(run(timeout(1ms, join(q))), timed_out);
  std::jthread getter = threads.start([&] { EXPECT_EQ(q.get(), 2); });
  threads.await_parked(2);
  EXPECT_TRUE(q.try_put(2));
  cancellation_source source;
  std::jthread joining = threads.start([&] { EXPECT_THROW(q.join(source.token()), cancelled); });
  threads.await_parked(3);
  source.request_cancellation();
  joining.join();
  EXPECT_THROW(q.task_done(3), released_too_often);
  q.task_done(2);
  q.join();
}

TEST(queue, join_returns_when_workers_have_done_what_they_took) {
  constexpr int items = 1000;
  queue<int> q(5);
  std::atomic<int> done{0};
  std::vector<std::jthread> workers;
  for (int i = 0; i < 3; ++i) {
    workers.emplace_back([&] {
      while (q.next()) {
        ++done;
        q.task_done();
      }
    });
  }
  std::vector<int> all = numbers(0, items);
  std::span<int> left(all);
  q.put_all(left);
  q.join();
  EXPECT_EQ(done, items);
  q.close();
}

task<> put_batch(queue<int>& q, std::span<int>& left) { co_await q.async_put_all(left); }
task<std::vector<int>> get_batch(queue<int>& q, std::size_t most) {
  co_return co_await q.async_get_some(most);
}

// Batches that are cut short by limits at any moment: each item is put once and comes out once.
TEST(queue, batches_lose_and_double_nothing_while_they_give_up) {
  constexpr int per_producer = 1500;
  queue<int> q(7);
  std::vector<int> got[4];
  {
    test::loop_thread loop;
    auto produce = [](queue<int>& to, int first) -> task<> {
      std::vector<int> items = numbers(first, first + per_producer);
      std::span<int> left(items);
      for (int i = 0; !left.empty(); ++i) {
        try {
          co_await timeout(std::chrono::microseconds(i % 90), put_batch(to, left));
        } catch (const timed_out&) {
        }
      }
    };
    auto consume = [](queue<int>& from, std::vector<int>& into) -> task<> {
      for (unsigned i = 0;; ++i) {
        try {
          const std::vector<int> some =
              co_await timeout(std::chrono::microseconds(i % 90), get_batch(from, 1 + i % 5));
          if (some.empty())
            co_return;
          into.insert(into.end(), some.begin(), some.end());
        } catch (const timed_out&) {
        }
      }
    };
    std::vector<future<void>> coroutine_producers;
    std::vector<future<void>> coroutine_consumers;
    std::vector<std::jthread> producers;
    std::vector<std::jthread> consumers;
    for (int i = 0; i < 2; ++i) {
      coroutine_producers.push_back(loop->submit(produce, std::ref(q), i * per_producer));
      coroutine_consumers.push_back(loop->submit(consume, std::ref(q), std::ref(got[i])));
    }
    for (int i = 2; i < 4; ++i) {
      producers.emplace_back([&, i] {
        std::vector<int> items = numbers(i * per_producer, (i + 1) * per_producer);
        std::span<int> left(items);
        for (int k = 0; !left.empty(); ++k) {
          try {
            q.put_all(left, std::chrono::microseconds(k % 90));
          } catch (const timed_out&) {
          }
        }
      });
      consumers.emplace_back([&, i] {
        for (unsigned k = 0;; ++k) {
          try {
            const std::vector<int> some = q.get_some(1 + k % 5, std::chrono::microseconds(k % 90));
            if (some.empty())
              return;
            got[i].insert(got[i].end(), some.begin(), some.end());
          } catch (const timed_out&) {
          }
        }
      });
    }
    producers.clear();
    for (auto& p : coroutine_producers)
      p.get();
    q.close();
    consumers.clear();
    for (auto& c : coroutine_consumers)
      c.get();
  }
  std::vector<int> all;
  for (const auto& part : got)
    all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, numbers(0, 4 * per_producer));
}

} // namespace
} // namespace fourfold
