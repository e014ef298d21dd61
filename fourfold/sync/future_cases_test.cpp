#include <fourfold/base/errors.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/future.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

namespace fourfold {
namespace {

template <class T>
task<T> await_future(future<T>& f) {
  co_return co_await f;
}

TEST(future, exception_and_broken_promise_wake_a_coroutine_that_waits) {
  auto body = []() -> task<> {
    std::optional<promise<int>> p(std::in_place);
    future<int> f = p->get_future();
    future<int> waiting = spawn(await_future(f));
    co_await test::let_others_run();
    p->set_exception(std::make_exception_ptr(std::out_of_range("told")));
    try {
      co_await waiting;
      ADD_FAILURE();
    } catch (const std::out_of_range&) {
    }
    p.emplace();
    f = p->get_future();
    waiting = spawn(await_future(f));
    co_await test::let_others_run();
    p.reset();
    try {
      co_await waiting;
      ADD_FAILURE();
    } catch (const broken_promise&) {
    }
  };
  run(body());
}

TEST(future, setting_the_result_on_the_loop_runs_nothing_of_the_waiter_inside_of_the_call) {
  auto note_result = [](future<int>& f, int& seen) -> task<> { seen = co_await f; };
  auto body = [](auto& waiter, int& seen) -> task<> {
    promise<int> p;
    future<int> f = p.get_future();
    future<void> waiting = spawn(waiter(f, seen));
    co_await test::let_others_run();
    p.set_value(5);
    EXPECT_EQ(seen, 0);
    co_await waiting;
    EXPECT_EQ(seen, 5);
  };
  int seen = 0;
  run(body(note_result, seen));
}

TEST(future, result_that_came_before_the_cancellation_of_its_waiter_is_delivered_and_one_after_is_kept) {
  auto body = [](bool set_first) -> task<> {
    promise<int> p;
    future<int> f = p.get_future();
    future<int> waiting = spawn(await_future(f));
    co_await test::let_others_run();
    if (set_first)
      p.set_value(1);
    waiting.cancel();
    if (!set_first)
      p.set_value(1);
    try {
      EXPECT_EQ(co_await waiting, 1);
      EXPECT_TRUE(set_first);
    } catch (const cancelled&) {
      EXPECT_FALSE(set_first);
    }
    EXPECT_EQ(f.valid(), !set_first);
    if (!set_first) {
      EXPECT_EQ(co_await f, 1);
    }
  };
  run(body(true));
  run(body(false));
}

TEST(future, assigned_over_lets_its_result_go_and_has_the_new_one) {
  const auto first = std::make_shared<int>(1);
  auto f = make_ready_future<std::shared_ptr<int>>(first);
  EXPECT_EQ(first.use_count(), 2);
  f = make_ready_future<std::shared_ptr<int>>(std::make_shared<int>(2));
  EXPECT_EQ(first.use_count(), 1);
  EXPECT_EQ(*f.get(), 2);
}

TEST(future, result_that_nobody_took_is_destroyed_with_it) {
  const auto shared = std::make_shared<int>(1);
  promise<std::shared_ptr<int>> p;
  {
    auto f = p.get_future();
    p.set_value(shared);
    EXPECT_EQ(shared.use_count(), 2);
  }
  p = {};
  EXPECT_EQ(shared.use_count(), 1);
}

TEST(future, callback_may_take_the_result) {
  promise<int> p;
  auto f = p.get_future();
  int seen = 0;
  f.on_ready([&] { seen = f.get(); });
  p.set_value(3);
  EXPECT_EQ(seen, 3);
  EXPECT_FALSE(f.valid());
}

/// Work that is done as soon as somebody waits for it, with something left to do afterwards.
class done_when_awaited final : public detail::future_state<int> {
 public:
  done_when_awaited(bool& alive, bool& alive_at_the_end)
      : alive_(alive), alive_at_the_end_(alive_at_the_end) {
    alive_ = true;
  }
  ~done_when_awaited() override { alive_ = false; }

 private:
  void parked() noexcept override {
    bool& alive = alive_;
    bool& alive_at_the_end = alive_at_the_end_;
    set_value(5);
    alive_at_the_end = alive;
  }

  bool& alive_;
  bool& alive_at_the_end_;
};

TEST(future, callback_that_drops_the_last_reference_leaves_on_ready_its_state) {
  bool alive = false;
  bool alive_at_the_end = false;
  future<int> f(detail::make_state<done_when_awaited>(alive, alive_at_the_end));
  int seen = 0;
  f.on_ready([&] { seen = f.get(); });
  EXPECT_EQ(seen, 5);
  EXPECT_TRUE(alive_at_the_end);
  EXPECT_FALSE(alive);
}

} // namespace
} // namespace fourfold
