#include <fourfold/thread/detail/work_stealing_deque.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace {

using deque = fourfold::detail::work_stealing_deque<int>;

void push(deque& d, int& item) {
  d.reserve(1);
  d.push(&item);
}

TEST(work_stealing_deque, gives_its_owner_the_newest_and_thieves_the_oldest) {
  deque d;
  int items[3];
  for (int& item : items)
    push(d, item);
  EXPECT_EQ(d.steal(), &items[0]);
  EXPECT_EQ(d.pop(), &items[2]);
  EXPECT_FALSE(d.empty());
  EXPECT_EQ(d.pop(), &items[1]);
  EXPECT_TRUE(d.empty());
  EXPECT_EQ(d.pop(), nullptr);
  EXPECT_EQ(d.steal(), nullptr);
}

TEST(work_stealing_deque, keeps_an_item_that_is_not_to_be_stolen) {
  deque d;
  int item = 0;
  push(d, item);
  EXPECT_EQ(d.steal_if([] { return false; }), nullptr);
  EXPECT_EQ(d.steal_if([] { return true; }), &item);
  EXPECT_EQ(d.steal_if([] { return true; }), nullptr);
}

TEST(work_stealing_deque, shows_a_batch_at_once_in_the_order_of_its_places) {
  deque d;
  int items[100];
  d.reserve(100);
  for (std::size_t i = 100; i-- > 0;)
    d.place(i, &items[i]);
  EXPECT_TRUE(d.empty());
  d.publish(100);
  for (int& item : items)
    EXPECT_EQ(d.steal(), &item);
}

TEST(work_stealing_deque, grows_and_keeps_its_items_in_order) {
  deque d;
  std::vector<int> items(1000);
  // Not from the start of the ring.
  for (std::size_t i = 0; i < 40; ++i)
    push(d, items[i]), static_cast<void>(d.steal());
  for (int& item : items)
    push(d, item);
  for (int& item : items)
    EXPECT_EQ(d.steal(), &item);
}

TEST(work_stealing_deque, gives_every_item_to_exactly_one_of_owner_and_thieves) {
  deque d;
  constexpr int total = 20'000;
  std::vector<int> taken(total);
  std::vector<std::atomic<int>> times(total);
  std::atomic<bool> done = false;
  const auto note = [&](const int* item) {
    times[static_cast<std::size_t>(item - taken.data())].fetch_add(1);
  };
  std::vector<std::thread> thieves;
  for (int i = 0; i < 2; ++i) {
    thieves.emplace_back([&] {
      while (!done || !d.empty()) {
        if (int* item = d.steal())
          note(item);
      }
    });
  }
  for (int i = 0; i < total; ++i) {
    push(d, taken[static_cast<std::size_t>(i)]);
    if (i % 3 == 0) {
      if (int* item = d.pop())
        note(item);
    }
  }
  while (int* item = d.pop())
    note(item);
  done = true;
  for (auto& thief : thieves)
    thief.join();
  for (auto& count : times)
    ASSERT_EQ(count, 1);
}

} // namespace
