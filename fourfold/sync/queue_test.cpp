#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/queue.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

TEST(queue, gives_items_in_the_order_in_which_they_were_put) {
  queue<int> q;
  for (int i = 0; i < 5; ++i)
    q.put(i);
  EXPECT_EQ(q.size(), 5U);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(q.get(), i);
  EXPECT_EQ(q.size(), 0U);
  EXPECT_EQ(q.try_get(), std::nullopt);
}

TEST(queue, put_waits_while_it_is_full) {
  queue<int> q(2);
  q.put(1);
  q.put(2);
  EXPECT_THROW(q.put(3, 1ms), timed_out);
  EXPECT_FALSE(q.try_put(3));
  EXPECT_EQ(q.size(), 2U);
  test::parking_threads threads;
  std::jthread producer = threads.start([&] { q.put(3); });
  threads.await_parked(1);
  EXPECT_EQ(q.get(), 1);
  producer.join();
  EXPECT_EQ(q.get(), 2);
  EXPECT_EQ(q.get(), 3);
}

TEST(queue, get_waits_while_it_is_empty) {
  queue<int> q;
  EXPECT_THROW(q.get(1ms), timed_out);
  EXPECT_THROW(q.next(clock::time_point::min()), timed_out);
  test::parking_threads threads;
  std::jthread consumer = threads.start([&] { EXPECT_EQ(q.get(), 7); });
  threads.await_parked(1);
  q.put(7);
}

TEST(queue, expired_limit_succeeds_without_a_wait_and_a_cancelled_token_does_not) {
  queue<int> q(1);
  q.put(1, 0s);
  EXPECT_EQ(q.get(0s), 1);
  cancellation_source source;
  source.request_cancellation();
  EXPECT_THROW(q.put(1, source.token()), cancelled);
  EXPECT_EQ(q.size(), 0U);
  q.put(1);
  EXPECT_THROW(q.get(source.token()), cancelled);
  EXPECT_EQ(q.size(), 1U);
}

TEST(queue, item_that_is_not_put_stays_with_the_caller_of_try_put) {
  queue<std::unique_ptr<int>> q(1);
  auto first = std::make_unique<int>(1);
  auto second = std::make_unique<int>(2);
  EXPECT_TRUE(q.try_put(first));
  EXPECT_EQ(first, nullptr);
  EXPECT_FALSE(q.try_put(second));
  ASSERT_NE(second, nullptr);
  q.close();
  EXPECT_THROW(static_cast<void>(q.try_put(second)), queue_closed);
  ASSERT_NE(second, nullptr);
}

TEST(queue, without_capacity_hands_items_from_hand_to_hand) {
  queue<int> q(0);
  EXPECT_FALSE(q.try_put(1));
  EXPECT_THROW(q.put(1, 1ms), timed_out);
  test::parking_threads threads;
  {
    std::jthread producer = threads.start([&] { q.put(2); });
    threads.await_parked(1);
    EXPECT_EQ(q.size(), 0U);
    EXPECT_EQ(q.try_get(), 2);
  }
  {
    std::jthread consumer = threads.start([&] { EXPECT_EQ(q.get(), 3); });
    threads.await_parked(2);
    EXPECT_TRUE(q.try_put(3));
  }
}

TEST(queue, close_lets_consumers_drain_and_refuses_producers) {
  queue<int> q(5);
  q.put(1);
  q.put(2);
  EXPECT_FALSE(q.closed());
  q.close();
  q.close();
  EXPECT_TRUE(q.closed());
  EXPECT_THROW(q.put(3), queue_closed);
  EXPECT_THROW(static_cast<void>(q.try_put(3)), queue_closed);
  EXPECT_EQ(q.get(), 1);
  EXPECT_EQ(q.next(), 2);
  EXPECT_EQ(q.next(), std::nullopt);
  EXPECT_EQ(q.try_get(), std::nullopt);
  EXPECT_THROW(q.get(), queue_closed);
}

task<> get_until_end(queue<int>& q, std::vector<int>& got) {
  while (auto item = co_await q.async_next())
    got.push_back(*item);
}

task<> expect_closed_get(queue<int>& q) {
  try {
    co_await q.async_get();
    ADD_FAILURE();
  } catch (const queue_closed&) {
  }
}

task<> expect_closed_put(queue<int>& q) {
  try {
    co_await q.async_put(9);
    ADD_FAILURE();
  } catch (const queue_closed&) {
  }
}

TEST(queue, close_ends_every_waiting_consumer) {
  queue<int> q;
  test::parking_threads threads;
  test::loop_thread loop;
  std::vector<int> got;
  std::vector<std::jthread> waiting;
  waiting.push_back(threads.start([&] { EXPECT_THROW(q.get(), queue_closed); }));
  waiting.push_back(threads.start([&] { EXPECT_EQ(q.next(), std::nullopt); }));
  auto a = loop->submit(get_until_end, std::ref(q), std::ref(got));
  auto b = loop->submit(expect_closed_get, std::ref(q));
  loop->submit(test::let_others_run, 2).get();
  threads.await_parked(2);
  q.close();
  a.get();
  b.get();
  EXPECT_TRUE(got.empty());
}

TEST(queue, close_ends_every_waiting_producer_and_keeps_what_is_in_it) {
  queue<int> q(1);
  q.put(1);
  test::parking_threads threads;
  test::loop_thread loop;
  std::jthread producer = threads.start([&] { EXPECT_THROW(q.put(2), queue_closed); });
  auto a = loop->submit(expect_closed_put, std::ref(q));
  loop->submit(test::let_others_run, 2).get();
  threads.await_parked(1);
  q.close();
  a.get();
  producer.join();
  EXPECT_EQ(q.next(), 1);
  EXPECT_EQ(q.next(), std::nullopt);
}

TEST(queue, waiting_thread_is_cancelled_from_another) {
  queue<int> q(1);
  cancellation_source source;
  test::parking_threads threads;
  std::jthread consumer = threads.start([&] { EXPECT_THROW(q.get({1h, source.token()}), cancelled); });
  threads.await_parked(1);
  source.request_cancellation();
  consumer.join();
  q.put(1);
  EXPECT_EQ(q.size(), 1U);
}

TEST(queue, move_only_items_go_between_a_coroutine_and_a_thread) {
  queue<std::unique_ptr<int>> q(1);
  auto produce = [](queue<std::unique_ptr<int>>& to) -> task<> {
    for (int i = 0; i < 50; ++i)
      co_await to.async_put(std::make_unique<int>(i));
    to.close();
  };
  test::loop_thread loop;
  auto done = loop->submit(produce, std::ref(q));
  int expected = 0;
  while (auto item = q.next())
    EXPECT_EQ(**item, expected++);
  EXPECT_EQ(expected, 50);
  done.get();
}

task<> put_numbers(queue<int>& q, int first, int end) {
  for (int i = first; i < end; ++i)
    co_await q.async_put(i);
}

// T12
TEST(queue, producer_and_consumer_threads_with_a_buffer_of_five) {
  queue<int> q(5);
  std::atomic<std::size_t> fullest{0};
  std::jthread producer([&] {
    for (int i = 0; i < 2000; ++i) {
      q.put(i);
      fullest = std::max(fullest.load(), q.size());
    }
    q.close();
  });
  int expected = 0;
  while (auto item = q.next())
    EXPECT_EQ(*item, expected++);
  EXPECT_EQ(expected, 2000);
  producer.join();
  EXPECT_LE(fullest, 5U);
}

// T12
TEST(queue, producer_and_consumer_coroutines_with_a_buffer_of_five) {
  queue<int> q(5);
  std::vector<int> got;
  auto produce = [](queue<int>& to) -> task<> {
    for (int i = 0; i < 2000; ++i) {
      co_await to.async_put(i);
      EXPECT_LE(to.size(), 5U);
    }
    to.close();
  };
  run(gather(produce(q), get_until_end(q, got)));
  std::vector<int> expected(2000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(got, expected);
}

TEST(queue, coroutine_producers_wait_first_come_first_served) {
  const test::in_order_of_readiness kept("who is spawned first comes first");
  queue<int> q(1);
  auto body = [](queue<int>& full) -> task<std::vector<int>> {
    std::vector<future<void>> producers;
    for (int i = 0; i < 5; ++i)
      producers.push_back(spawn(put_numbers(full, i, i + 1)));
    co_await test::let_others_run();
    EXPECT_EQ(full.size(), 1U);
    std::vector<int> got;
    for (int i = 0; i < 5; ++i)
      got.push_back(co_await full.async_get());
    co_return got;
  };
  EXPECT_EQ(run(body(q)), (std::vector{0, 1, 2, 3, 4}));
}

TEST(queue, coroutine_consumers_wait_first_come_first_served) {
  const test::in_order_of_readiness kept("who is spawned first comes first");
  queue<int> q;
  auto consume = [](queue<int>& from, std::vector<int>& by_consumer, std::size_t number) -> task<> {
    by_consumer[number] = co_await from.async_get();
  };
  auto body = [](queue<int>& empty, auto consumer) -> task<std::vector<int>> {
    std::vector<int> by_consumer(5);
    std::vector<future<void>> consumers;
    for (std::size_t i = 0; i < 5; ++i)
      consumers.push_back(spawn(consumer(empty, by_consumer, i)));
    co_await test::let_others_run();
    for (int i = 0; i < 5; ++i)
      empty.put(i);
    for (auto& c : consumers)
      co_await c;
    co_return by_consumer;
  };
  EXPECT_EQ(run(body(q, consume)), (std::vector{0, 1, 2, 3, 4}));
}

// What the stress tests keep of each item that was put or got.
struct ledger {
  std::vector<std::atomic<int>> put = std::vector<std::atomic<int>>(20'000);
  std::vector<std::atomic<int>> got = std::vector<std::atomic<int>>(20'000);
  std::atomic<int> next{0};

  std::size_t take_number() { return static_cast<std::size_t>(next++); }
  void check() {
    for (std::size_t i = 0; i < static_cast<std::size_t>(next.load()); ++i) {
      ASSERT_EQ(put[i], got[i]) << "item " << i;
      ASSERT_LE(put[i], 1);
    }
  }
};

using item = std::unique_ptr<std::size_t>;

task<> put_one(queue<item>& q, std::size_t number) {
  co_await q.async_put(std::make_unique<std::size_t>(number));
}
task<std::optional<item>> get_one(queue<item>& q) { co_return co_await q.async_next(); }

task<> put_impatiently(queue<item>& q, ledger& book, int times, unsigned seed) {
  std::minstd_rand random(seed);
  for (int i = 0; i < times; ++i) {
    const std::size_t number = book.take_number();
    try {
      co_await timeout(std::chrono::microseconds(random() % 80), put_one(q, number));
      ++book.put[number];
    } catch (const timed_out&) {
    }
  }
}

task<> get_impatiently(queue<item>& q, ledger& book, unsigned seed) {
  std::minstd_rand random(seed);
  for (;;) {
    try {
      auto got = co_await timeout(std::chrono::microseconds(random() % 80), get_one(q));
      if (!got)
        co_return;
      ++book.got[**got];
    } catch (const timed_out&) {
    }
  }
}

class queue_stress : public testing::TestWithParam<std::size_t> {};

TEST_P(queue_stress, nothing_is_lost_or_doubled_by_timeouts_and_cancellations) {
  queue<item> q(GetParam());
  ledger book;
  {
    test::loop_thread loops[2];
    std::vector<std::jthread> producers;
    std::vector<std::jthread> consumers;
    std::vector<future<void>> async_producers;
    std::vector<future<void>> async_consumers;
    for (unsigned i = 0; i < 2; ++i) {
      producers.emplace_back([&, i] {
        std::minstd_rand random(i + 1);
        for (int k = 0; k < 300; ++k) {
          const std::size_t number = book.take_number();
          cancellation_source source;
          std::jthread canceller;
          if (k % 16 == 0)
            canceller = std::jthread([&] { source.request_cancellation(); });
          try {
            q.put(std::make_unique<std::size_t>(number),
                  {std::chrono::microseconds(random() % 80), source.token()});
            ++book.put[number];
          } catch (const error&) {
          }
        }
      });
      consumers.emplace_back([&, i] {
        std::minstd_rand random(i + 11);
        for (int k = 0;; ++k) {
          cancellation_source source;
          std::jthread canceller;
          if (k % 16 == 0)
            canceller = std::jthread([&] { source.request_cancellation(); });
          try {
            auto got = q.next({std::chrono::microseconds(random() % 80), source.token()});
            if (!got)
              return;
            ++book.got[**got];
          } catch (const error&) {
          }
        }
      });
    }
    for (unsigned i = 0; i < 4; ++i) {
      auto& l = loops[i % 2];
      async_producers.push_back(l->submit(put_impatiently, std::ref(q), std::ref(book), 300, i + 21));
      async_consumers.push_back(l->submit(get_impatiently, std::ref(q), std::ref(book), i + 31));
    }
    producers.clear();
    for (auto& p : async_producers)
      p.get();
    q.close();
    consumers.clear();
    for (auto& c : async_consumers)
      c.get();
  }
  EXPECT_EQ(q.size(), 0U);
  book.check();
}

INSTANTIATE_TEST_SUITE_P(capacities, queue_stress, testing::Values(0U, 1U, 5U, queue<int>::unbounded),
                         [](const auto& capacity) {
                           return capacity.param > 100 ? std::string("unbounded")
                                                       : "of_" + std::to_string(capacity.param);
                         });

// close() takes out waiters of which some are giving up at that moment.
TEST(queue, close_racing_with_timeouts_ends_each_waiter_once) {
  for (int round = 0; round < 150; ++round) {
    queue<int> empty;
    queue<int> full(1);
    full.put(0);
    std::atomic<int> ended{0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        try {
          empty.next(std::chrono::microseconds(i * 30));
        } catch (const timed_out&) {
        }
        ++ended;
      });
      threads.emplace_back([&, i] {
        try {
          full.put(1, std::chrono::microseconds(i * 30));
        } catch (const error&) {
        }
        ++ended;
      });
    }
    for (int i = 0; i < round % 8; ++i)
      std::this_thread::yield();
    empty.close();
    full.close();
    threads.clear();
    EXPECT_EQ(ended, 4);
    EXPECT_EQ(full.size(), 1U);
  }
}

TEST(queue, may_be_destroyed_by_the_last_consumer) {
  for (int round = 0; round < 500; ++round) {
    auto q = std::make_unique<queue<int>>();
    std::jthread producer([raw = q.get()] { raw->put(1); });
    EXPECT_EQ(q->get(), 1);
    q.reset();
  }
}

// An item whose move throws stays where it is.
struct fragile {
  explicit fragile(int n) : number(n) {}
  fragile(fragile&& other) : number(other.number) {
    if (armed && std::exchange(armed, false))
      throw std::runtime_error("cannot move");
  }
  fragile& operator=(fragile&&) = delete;
  static inline bool armed = false;
  int number;
};

TEST(queue, error_while_moving_an_item_in_puts_nothing) {
  queue<fragile> q(2);
  q.put(fragile(1));
  fragile second(2);
  fragile::armed = true;
  EXPECT_THROW(static_cast<void>(q.try_put(second)), std::runtime_error);
  EXPECT_EQ(q.size(), 1U);
  EXPECT_TRUE(q.try_put(second));
  EXPECT_EQ(q.get().number, 1);
  EXPECT_EQ(q.get().number, 2);
}

TEST(queue_death_test, destruction_while_somebody_waits_aborts_with_a_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        test::parking_threads threads;
        auto q = std::make_unique<queue<int>>();
        std::jthread consumer = threads.start([&] { q->get(); });
        threads.await_parked(1);
        q.reset();
      },
      "a queue was destroyed while somebody waits on it");
}

} // namespace
} // namespace fourfold
