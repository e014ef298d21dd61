#include <fourfold/base/errors.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/queue.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

// Items, cancellations and a close that meet in one turn of the loop.
namespace fourfold {
namespace {

using namespace std::chrono_literals;

constexpr int was_cancelled = -1;
constexpr int was_closed = -2;

task<int> get_one(queue<int>& q) {
  try {
    co_return co_await q.async_get();
  } catch (const cancelled&) {
    co_return was_cancelled;
  } catch (const queue_closed&) {
    co_return was_closed;
  }
}

task<int> put_one(queue<int>& q, int item) {
  try {
    co_await q.async_put(item);
    co_return item;
  } catch (const cancelled&) {
    co_return was_cancelled;
  } catch (const queue_closed&) {
    co_return was_closed;
  }
}

TEST(queue, item_given_before_the_cancellation_is_the_getter_s_and_one_given_after_is_the_next_one_s) {
  auto body = [](bool give_first) -> task<> {
    queue<int> q;
    future<int> first = spawn(get_one(q));
    co_await test::let_others_run();
    future<int> second = spawn(get_one(q));
    co_await test::let_others_run();
    if (give_first) {
      q.put(1);
      first.cancel();
    } else {
      first.cancel();
      q.put(1);
    }
    q.put(2);
    EXPECT_EQ(co_await first, give_first ? 1 : was_cancelled);
    EXPECT_EQ(co_await second, give_first ? 2 : 1);
    EXPECT_EQ(q.size(), give_first ? 0U : 1U);
  };
  run(body(true));
  run(body(false));
}

TEST(queue, items_go_past_many_cancelled_getters_to_those_that_are_left) {
  auto body = []() -> task<> {
    queue<int> q;
    std::vector<future<int>> getters;
    for (int i = 0; i < 100; ++i) {
      getters.push_back(spawn(get_one(q)));
      co_await yield();
    }
    co_await test::let_others_run();
    for (std::size_t i = 0; i < getters.size(); ++i) {
      if (i % 10 != 0)
        getters[i].cancel();
    }
    for (int i = 0; i < 10; ++i)
      q.put(i);
    EXPECT_EQ(q.size(), 0U);
    for (std::size_t i = 0; i < getters.size(); ++i)
      EXPECT_EQ(co_await getters[i], i % 10 == 0 ? static_cast<int>(i / 10) : was_cancelled);
  };
  run(body());
}

TEST(queue, is_as_it_was_after_every_getter_gave_up) {
  auto body = []() -> task<> {
    auto impatient = [](queue<int>& q) -> task<> { co_await q.async_get(); };
    queue<int> q(1);
    for (int i = 0; i < 20; ++i) {
      try {
        co_await timeout(10us, impatient(q));
        ADD_FAILURE();
      } catch (const timed_out&) {
      }
    }
    EXPECT_TRUE(q.try_put(1));
    EXPECT_EQ(q.size(), 1U) << "no getter is left to take it";
    EXPECT_EQ(q.try_get(), 1);
  };
  run(body());
}

TEST(queue, room_made_before_the_cancellation_is_the_putter_s_and_room_made_after_is_the_next_one_s) {
  auto body = [](bool room_first) -> task<> {
    queue<int> q(1);
    q.put(0);
    future<int> first = spawn(put_one(q, 1));
    co_await test::let_others_run();
    future<int> second = spawn(put_one(q, 2));
    co_await test::let_others_run();
    if (room_first) {
      EXPECT_EQ(q.get(), 0);
      first.cancel();
      EXPECT_EQ(co_await first, 1);
      EXPECT_FALSE(second.ready());
      EXPECT_EQ(q.get(), 1);
    } else {
      first.cancel();
      EXPECT_EQ(q.get(), 0);
      EXPECT_EQ(co_await first, was_cancelled);
    }
    EXPECT_EQ(co_await second, 2);
    EXPECT_EQ(q.try_get(), 2);
    EXPECT_EQ(q.try_get(), std::nullopt);
  };
  run(body(true));
  run(body(false));
}

TEST(queue, item_of_a_cancelled_putter_is_destroyed_and_not_put) {
  auto put = [](queue<std::shared_ptr<int>>& q, std::shared_ptr<int> item) -> task<> {
    co_await q.async_put(std::move(item));
  };
  auto body = [](auto& put_item) -> task<> {
    queue<std::shared_ptr<int>> q(0);
    const auto item = std::make_shared<int>(1);
    future<void> f = spawn(put_item(q, item));
    co_await test::let_others_run();
    EXPECT_EQ(item.use_count(), 2);
    EXPECT_TRUE(f.cancel());
    EXPECT_EQ(q.try_get(), std::nullopt);
    try {
      co_await f;
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
    EXPECT_EQ(item.use_count(), 1);
  };
  run(body(put));
}

TEST(queue, close_in_the_turn_in_which_an_item_was_given_takes_nothing_away) {
  auto body = []() -> task<> {
    queue<int> q;
    future<int> first = spawn(get_one(q));
    co_await test::let_others_run();
    future<int> second = spawn(get_one(q));
    co_await test::let_others_run();
    q.put(1);
    q.close();
    EXPECT_EQ(co_await first, 1);
    EXPECT_EQ(co_await second, was_closed);
  };
  run(body());
}

TEST(queue, close_and_cancellation_in_one_turn_end_each_waiter_once) {
  auto body = [](bool close_first) -> task<> {
    queue<int> empty;
    queue<int> full(0);
    future<int> getter = spawn(get_one(empty));
    future<int> putter = spawn(put_one(full, 1));
    co_await test::let_others_run();
    if (close_first) {
      empty.close();
      full.close();
    }
    getter.cancel();
    putter.cancel();
    empty.close();
    full.close();
    EXPECT_EQ(co_await getter, close_first ? was_closed : was_cancelled);
    EXPECT_EQ(co_await putter, close_first ? was_closed : was_cancelled);
  };
  run(body(true));
  run(body(false));
}

TEST(queue, without_capacity_takes_the_oldest_putter_that_still_waits) {
  auto body = []() -> task<> {
    queue<int> q(0);
    future<int> first = spawn(put_one(q, 1));
    co_await test::let_others_run();
    future<int> second = spawn(put_one(q, 2));
    co_await test::let_others_run();
    first.cancel();
    EXPECT_EQ(co_await get_one(q), 2);
    EXPECT_EQ(co_await first, was_cancelled);
    EXPECT_EQ(co_await second, 2);
  };
  run(body());
}

} // namespace
} // namespace fourfold
