#include <fourfold/base/cancellation.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

TEST(cancellation, default_token_is_never_cancelled) {
  const cancellation_token token;
  EXPECT_FALSE(token.can_be_cancelled());
  EXPECT_FALSE(token.cancellation_requested());
  bool called = false;
  {
    const cancellation_callback callback(token, [&] { called = true; });
  }
  EXPECT_FALSE(called);
}

TEST(cancellation, request_is_seen_by_every_token_and_is_true_only_the_first_time) {
  cancellation_source source;
  const cancellation_token before = source.token();
  EXPECT_TRUE(before.can_be_cancelled());
  EXPECT_FALSE(before.cancellation_requested());
  EXPECT_TRUE(source.request_cancellation());
  EXPECT_FALSE(source.request_cancellation());
  EXPECT_TRUE(before.cancellation_requested());
  EXPECT_TRUE(source.token().cancellation_requested());
  EXPECT_TRUE(source.cancellation_requested());
}

TEST(cancellation, callback_runs_once_on_the_cancelling_thread) {
  cancellation_source source;
  int calls = 0;
  std::thread::id caller;
  const cancellation_callback callback(source.token(), [&] {
    ++calls;
    caller = std::this_thread::get_id();
  });
  EXPECT_EQ(calls, 0);
  std::jthread canceller([&] { source.request_cancellation(); });
  const auto cancelling_thread = canceller.get_id();
  canceller.join();
  source.request_cancellation();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(caller, cancelling_thread);
}

TEST(cancellation, callbacks_run_in_order_of_registration) {
  cancellation_source source;
  std::vector<int> order;
  const cancellation_callback first(source.token(), [&] { order.push_back(1); });
  const cancellation_callback second(source.token(), [&] { order.push_back(2); });
  const cancellation_callback third(source.token(), [&] { order.push_back(3); });
  source.request_cancellation();
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST(cancellation, callback_registered_after_the_request_runs_in_its_constructor) {
  cancellation_source source;
  source.request_cancellation();
  int calls = 0;
  {
    const cancellation_callback callback(source.token(), [&] { ++calls; });
    EXPECT_EQ(calls, 1);
  }
  EXPECT_EQ(calls, 1);
}

TEST(cancellation, destroyed_callback_is_not_called) {
  cancellation_source source;
  bool called = false;
  {
    const cancellation_callback callback(source.token(), [&] { called = true; });
  }
  source.request_cancellation();
  EXPECT_FALSE(called);
}

TEST(cancellation, destructor_waits_for_a_callback_that_runs_on_another_thread) {
  cancellation_source source;
  std::latch entered(1);
  std::atomic<bool> may_return{false};
  std::atomic<bool> returned{false};
  auto wait_inside = [&] {
    entered.count_down();
    may_return.wait(false);
    returned = true;
  };
  std::optional<cancellation_callback<decltype(wait_inside)>> callback(std::in_place, source.token(),
                                                                       wait_inside);
  std::jthread canceller([&] { source.request_cancellation(); });
  entered.wait();
  std::jthread releaser([&] {
    may_return = true;
    may_return.notify_all();
  });
  callback.reset();
  EXPECT_TRUE(returned);
}

TEST(cancellation, callback_may_destroy_itself) {
  cancellation_source source;
  struct self_destroying {
    std::unique_ptr<cancellation_callback<self_destroying>>& owner;
    int& calls;
    void operator()() const {
      ++calls;
      owner.reset();
    }
  };
  int calls = 0;
  std::unique_ptr<cancellation_callback<self_destroying>> owner;
  owner =
      std::make_unique<cancellation_callback<self_destroying>>(source.token(), self_destroying{owner, calls});
  source.request_cancellation();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(owner, nullptr);
}

TEST(cancellation, callback_may_destroy_another_that_has_not_run) {
  cancellation_source source;
  bool second_called = false;
  auto mark = [&] { second_called = true; };
  std::optional<cancellation_callback<decltype(mark)>> second;
  const cancellation_callback first(source.token(), [&] { second.reset(); });
  second.emplace(source.token(), mark);
  source.request_cancellation();
  EXPECT_FALSE(second_called);
}

TEST(cancellation, callback_may_register_another_which_runs_at_once) {
  cancellation_source source;
  bool inner_called = false;
  const cancellation_callback outer(source.token(), [&] {
    const cancellation_callback inner(source.token(), [&] { inner_called = true; });
    EXPECT_TRUE(inner_called);
  });
  source.request_cancellation();
  EXPECT_TRUE(inner_called);
}

TEST(cancellation, only_one_of_many_racing_requests_wins) {
  for (int round = 0; round < 200; ++round) {
    cancellation_source source;
    std::atomic<int> calls{0};
    std::atomic<int> wins{0};
    const cancellation_callback callback(source.token(), [&] { ++calls; });
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] { wins += source.request_cancellation() ? 1 : 0; });
      }
    }
    EXPECT_EQ(wins, 1);
    EXPECT_EQ(calls, 1);
  }
}

TEST(cancellation, no_callback_is_lost_or_called_twice_when_registration_and_request_race) {
  for (int round = 0; round < 200; ++round) {
    cancellation_source source;
    std::atomic<bool> go{false};
    std::atomic<int> wrong{0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        go.wait(false);
        for (int k = 0; k < 50; ++k) {
          int calls = 0;
          const bool requested_before = source.cancellation_requested();
          {
            const cancellation_callback callback(source.token(), [&calls] { ++calls; });
          }
          const bool requested_after = source.cancellation_requested();
          if (calls > 1 || (requested_before && calls != 1) || (!requested_after && calls != 0))
            ++wrong;
        }
      });
    }
    threads.emplace_back([&] {
      go.wait(false);
      source.request_cancellation();
    });
    go = true;
    go.notify_all();
    threads.clear();
    EXPECT_EQ(wrong, 0);
  }
}

TEST(cancellation, every_callback_alive_at_the_request_is_called_while_others_come_and_go) {
  for (int round = 0; round < 100; ++round) {
    cancellation_source source;
    std::atomic<int> kept_calls{0};
    auto count = [&] { ++kept_calls; };
    std::vector<std::unique_ptr<cancellation_callback<decltype(count)>>> kept;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] {
        while (!source.cancellation_requested()) {
          const cancellation_callback passing(source.token(), [] {});
        }
      });
    }
    for (int i = 0; i < 50; ++i) {
      kept.push_back(std::make_unique<cancellation_callback<decltype(count)>>(source.token(), count));
    }
    source.request_cancellation();
    EXPECT_EQ(kept_calls, 50);
  }
}

TEST(cancellation, current_token_follows_its_scopes) {
  EXPECT_FALSE(current_cancellation().can_be_cancelled());
  cancellation_source outer;
  cancellation_source inner;
  {
    const current_cancellation_scope outer_scope(outer.token());
    {
      const current_cancellation_scope inner_scope(inner.token());
      inner.request_cancellation();
      EXPECT_TRUE(current_cancellation().cancellation_requested());
    }
    EXPECT_TRUE(current_cancellation().can_be_cancelled());
    EXPECT_FALSE(current_cancellation().cancellation_requested());
    std::jthread([] { EXPECT_FALSE(current_cancellation().can_be_cancelled()); }).join();
  }
  EXPECT_FALSE(current_cancellation().can_be_cancelled());
}

} // namespace
} // namespace fourfold
