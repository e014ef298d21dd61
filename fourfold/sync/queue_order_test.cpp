#include <fourfold/base/errors.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/queue.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// The orders in which a queue gives its items.
namespace fourfold {
namespace {

using namespace std::chrono_literals;

struct job {
  int urgency;
  std::string name;
};
struct more_urgent {
  bool operator()(const job& a, const job& b) const { return a.urgency > b.urgency; }
};
struct by_value {
  bool operator()(const std::unique_ptr<int>& a, const std::unique_ptr<int>& b) const { return *a < *b; }
};

template <class Queue>
std::vector<int> drain(Queue& q) {
  std::vector<int> got;
  while (auto item = q.try_get())
    got.push_back(*item);
  return got;
}

TEST(lifo_queue, gives_the_newest_item_first) {
  lifo_queue<int> q;
  for (int i = 0; i < 3; ++i)
    q.put(i);
  EXPECT_EQ(q.get(), 2);
  q.put(3);
  EXPECT_EQ(q.size(), 3U);
  EXPECT_EQ(drain(q), (std::vector{3, 1, 0}));
}

TEST(priority_queue, gives_the_smallest_item_first) {
  priority_queue<int> q;
  for (const int i : {5, 1, 4, 2, 3})
    q.put(i);
  EXPECT_EQ(q.get(), 1);
  q.put(0);
  EXPECT_EQ(drain(q), (std::vector{0, 2, 3, 4, 5}));
  priority_queue<int, std::greater<>> largest_first;
  for (const int i : {5, 1, 4, 2, 3})
    largest_first.put(i);
  EXPECT_EQ(drain(largest_first), (std::vector{5, 4, 3, 2, 1}));
}

TEST(priority_queue, gives_equal_items_in_the_order_in_which_they_were_put) {
  priority_queue<job, more_urgent> q;
  for (const char* name : {"a", "b", "c", "d"}) {
    q.put({1, name});
    q.put({2, name});
  }
  std::string order;
  while (auto next = q.try_get())
    order += next->name;
  EXPECT_EQ(order, "abcdabcd");
}

TEST(priority_queue, holds_items_that_can_only_be_moved) {
  priority_queue<std::unique_ptr<int>, by_value> q(3);
  q.put(std::make_unique<int>(2));
  q.put(std::make_unique<int>(1));
  auto third = std::make_unique<int>(3);
  auto fourth = std::make_unique<int>(4);
  EXPECT_TRUE(q.try_put(third));
  EXPECT_FALSE(q.try_put(fourth));
  EXPECT_NE(fourth, nullptr);
  for (int i = 1; i <= 3; ++i)
    EXPECT_EQ(*q.get(), i);
}

template <class Queue>
task<> put_in_turn(Queue& q, int item) {
  co_await q.async_put(item);
}

// The order is that of the items inside: those who wait to put theirs stand in a line.
template <class Queue>
std::vector<int> fill_while_full(const std::vector<int>& items) {
  auto body = [](const std::vector<int>& all) -> task<std::vector<int>> {
    Queue q(2);
    std::vector<future<void>> producers;
    for (const int item : all) {
      producers.push_back(spawn(put_in_turn(q, item)));
      co_await test::let_others_run();
    }
    std::vector<int> got;
    while (got.size() < all.size())
      got.push_back(co_await q.async_get());
    for (auto& p : producers)
      co_await p;
    co_return got;
  };
  return run(body(items));
}

TEST(queue, of_each_order_lets_waiting_producers_in_first_come_first_served) {
  EXPECT_EQ(fill_while_full<queue<int>>({3, 4, 1, 2}), (std::vector{3, 4, 1, 2}));
  EXPECT_EQ(fill_while_full<lifo_queue<int>>({3, 4, 1, 2}), (std::vector{4, 1, 2, 3}));
  EXPECT_EQ(fill_while_full<priority_queue<int>>({3, 4, 1, 2}), (std::vector{3, 1, 2, 4}));
}

TEST(queue, of_each_order_hands_items_from_hand_to_hand_without_capacity) {
  lifo_queue<int> last(0);
  priority_queue<int> smallest(0);
  EXPECT_FALSE(last.try_put(1));
  EXPECT_FALSE(smallest.try_put(1));
  test::parking_threads threads;
  std::jthread consumer = threads.start([&] {
    EXPECT_EQ(last.get(), 1);
    EXPECT_EQ(smallest.get(), 2);
  });
  threads.await_parked(1);
  EXPECT_TRUE(last.try_put(1));
  threads.await_parked(2);
  EXPECT_TRUE(smallest.try_put(2));
}

TEST(queue, of_each_order_is_closed_and_drained) {
  lifo_queue<int> last;
  priority_queue<int> smallest;
  for (const int i : {2, 1, 3}) {
    last.put(i);
    smallest.put(i);
  }
  last.close();
  smallest.close();
  EXPECT_THROW(last.put(4), queue_closed);
  EXPECT_THROW(smallest.put(4), queue_closed);
  EXPECT_EQ(drain(last), (std::vector{3, 1, 2}));
  EXPECT_EQ(drain(smallest), (std::vector{1, 2, 3}));
  EXPECT_EQ(last.next(), std::nullopt);
  EXPECT_THROW(smallest.get(), queue_closed);
}

// An item whose move throws, or whose comparison does.
struct fragile {
  explicit fragile(int n) : number(n) {}
  fragile(fragile&& other) : number(other.number) {
    if (std::exchange(move_armed, false))
      throw std::runtime_error("cannot move");
  }
  fragile& operator=(fragile&&) = delete;
  bool operator<(const fragile& other) const {
    if (std::exchange(comparison_armed, false))
      throw std::runtime_error("cannot compare");
    return number < other.number;
  }
  static inline bool move_armed = false;
  static inline bool comparison_armed = false;
  int number;
};

TEST(priority_queue, is_left_whole_when_a_comparison_or_a_move_throws) {
  priority_queue<fragile> q;
  for (const int i : {3, 1, 2})
    q.put(fragile(i));
  fragile fourth(0);
  fragile::comparison_armed = true;
  EXPECT_THROW(static_cast<void>(q.try_put(fourth)), std::runtime_error);
  fragile::move_armed = true;
  EXPECT_THROW(static_cast<void>(q.try_put(fourth)), std::runtime_error);
  EXPECT_EQ(q.size(), 3U);
  fragile::move_armed = true;
  EXPECT_THROW(q.get(), std::runtime_error);
  EXPECT_EQ(q.size(), 3U);
  EXPECT_TRUE(q.try_put(fourth));
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(q.get().number, i);
}

// Many producers and consumers, some of which give up: each item put comes out once.
template <class Queue>
void expect_conservation() {
  constexpr int per_producer = 400;
  Queue q(5);
  std::vector<int> given_up[4];
  std::vector<int> got[4];
  {
    test::loop_thread loop;
    auto produce = [](Queue& to, std::vector<int>& failed, int first) -> task<> {
      for (int i = first; i < first + per_producer; ++i) {
        try {
          co_await timeout(std::chrono::microseconds(i % 80), put_in_turn(to, i));
        } catch (const timed_out&) {
          failed.push_back(i);
        }
      }
    };
    auto consume = [](Queue& from, std::vector<int>& into) -> task<> {
      while (auto item = co_await from.async_next())
        into.push_back(*item);
    };
    std::vector<future<void>> coroutine_producers;
    std::vector<future<void>> coroutine_consumers;
    std::vector<std::jthread> producers;
    std::vector<std::jthread> consumers;
    for (int i = 0; i < 2; ++i) {
      coroutine_producers.push_back(
          loop->submit(produce, std::ref(q), std::ref(given_up[i]), i * per_producer));
      coroutine_consumers.push_back(loop->submit(consume, std::ref(q), std::ref(got[i])));
    }
    for (int i = 2; i < 4; ++i) {
      producers.emplace_back([&, i] {
        for (int item = i * per_producer; item < (i + 1) * per_producer; ++item) {
          try {
            q.put(item, std::chrono::microseconds(item % 80));
          } catch (const timed_out&) {
            given_up[i].push_back(item);
          }
        }
      });
      consumers.emplace_back([&, i] {
        for (int k = 0;; ++k) {
          try {
            const std::vector<int> some = q.get_some(3, std::chrono::microseconds(k % 80));
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
  for (int i = 0; i < 4; ++i) {
    all.insert(all.end(), given_up[i].begin(), given_up[i].end());
    all.insert(all.end(), got[i].begin(), got[i].end());
  }
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), 4U * per_producer);
  for (int i = 0; i < 4 * per_producer; ++i)
    ASSERT_EQ(all[static_cast<std::size_t>(i)], i);
}

TEST(lifo_queue, loses_and_doubles_nothing_while_producers_and_consumers_give_up) {
  expect_conservation<lifo_queue<int>>();
}

TEST(priority_queue, loses_and_doubles_nothing_while_producers_and_consumers_give_up) {
  expect_conservation<priority_queue<int>>();
}

} // namespace
} // namespace fourfold
