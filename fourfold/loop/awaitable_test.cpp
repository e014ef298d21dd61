#include <fourfold/base/errors.hpp>
#include <fourfold/loop/awaitable.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/queue.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <coroutine>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

template <class T>
struct ready_awaiter {
  T value;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  T await_resume() { return std::forward<T>(value); }
};

struct with_member {
  int value;
  ready_awaiter<int> operator co_await() const { return {value}; }
};

struct with_free_function {
  std::unique_ptr<int> value;
};
ready_awaiter<std::unique_ptr<int>> operator co_await(with_free_function && made) {
  return {std::move(made.value)};
}

/// Waits on the loop, as an awaiter of somebody's own may by awaiting what the library offers.
struct wrapped_wait {
  event* awaited;
  auto operator co_await() const { return awaited->async_wait(); }
};

static_assert(awaitable<task<int>> && awaitable<future<int>> && awaitable<future<int>&>);
static_assert(awaitable<with_member> && awaitable<const with_member&> && awaitable<ready_awaiter<int>>);
static_assert(awaitable<with_free_function> && !awaitable<with_free_function&>);
static_assert(!awaitable<task<int>&> && !awaitable<int> && !awaitable<std::vector<task<int>>>);
static_assert(std::is_same_v<await_result_t<ready_awaiter<int&>>, int&>);
static_assert(std::is_same_v<await_result_t<future<void>>, void>);

TEST(awaitable, of_every_form_is_taken_by_time_limits_gather_and_spawn) {
  int variable = 0;
  with_member lvalue{2};
  auto body = [&]() -> task<> {
    EXPECT_EQ(co_await timeout(1h, with_member{1}), 1);
    EXPECT_EQ(co_await timeout(1h, lvalue), 2);
    with_free_function owner{std::make_unique<int>(3)};
    std::unique_ptr<int> owned = co_await timeout(1h, std::move(owner));
    EXPECT_EQ(*owned, 3);
    ready_awaiter<int&> reference{variable};
    int& referred = co_await shield(reference);
    EXPECT_EQ(&referred, &variable);
    auto [a, b] = co_await gather(lvalue, ready_awaiter<int>{4});
    EXPECT_EQ(a + b, 6);
    future<int> spawned = spawn(with_member{5});
    EXPECT_EQ(co_await spawned, 5);
  };
  run(body());
}

TEST(awaitable, of_your_own_that_waits_is_cancelled_by_the_limit) {
  event forever;
  EXPECT_THROW(run(timeout(1ms, wrapped_wait{&forever})), timed_out);
}

TEST(awaitable, operations_of_primitives_are_withdrawn_when_the_limit_passes) {
  queue<int> q;
  mutex m;
  auto body = [&]() -> task<> {
    int out_of_time = 0;
    try {
      co_await timeout(1ms, q.async_get());
    } catch (const timed_out&) {
      ++out_of_time;
    }
    q.put(4);
    EXPECT_EQ(co_await timeout(1h, q.async_get()), 4);
    co_await timeout(1h, m.async_lock());
    try {
      co_await timeout(1ms, m.async_lock());
    } catch (const timed_out&) {
      ++out_of_time;
    }
    m.unlock();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
    EXPECT_EQ(out_of_time, 2);
  };
  run(body());
}

TEST(awaitable, future_as_an_lvalue_stays_and_as_an_rvalue_is_moved_in) {
  promise<int> late;
  future<int> waiting = late.get_future();
  promise<int> early;
  future<int> ready = early.get_future();
  early.set_value(2);
  auto body = [&]() -> task<> {
    bool out_of_time = false;
    try {
      co_await timeout(1ms, waiting);
    } catch (const timed_out&) {
      out_of_time = true;
    }
    EXPECT_TRUE(out_of_time);
    EXPECT_TRUE(waiting.valid());
    late.set_value(1);
    EXPECT_EQ(co_await timeout(1h, waiting), 1);
    EXPECT_FALSE(waiting.valid());
    EXPECT_EQ(co_await timeout(1h, std::move(ready)), 2);
  };
  run(body());
}

} // namespace
} // namespace fourfold
