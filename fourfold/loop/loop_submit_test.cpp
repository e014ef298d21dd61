#include <fourfold/base/errors.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<> nothing() { co_return; }
task<int> give_later(int n) {
  co_await yield();
  co_return n;
}
task<> wait_for(event& e) { co_await e.async_wait(); }

int add(int a, int b) { return a + b; }
task<int> add_later(int a, int b) {
  co_await yield();
  co_return a + b;
}

TEST(loop_submit, calls_functions_and_coroutine_functions_from_another_thread) {
  test::loop_thread l;
  EXPECT_EQ(l->submit(add, 1, 2).get(), 3);
  EXPECT_EQ(l->submit(add_later, 3, 4).get(), 7);
  EXPECT_EQ(l->submit([] { return std::string("lambda"); }).get(), "lambda");
  EXPECT_EQ(*l->submit([](std::unique_ptr<int> n) { return n; }, std::make_unique<int>(9)).get(), 9);
  int variable = 0;
  int& reference = l->submit([&variable]() -> int& { return variable; }).get();
  EXPECT_EQ(&reference, &variable);
  const auto elsewhere = l->submit([] { return std::this_thread::get_id(); }).get();
  EXPECT_NE(elsewhere, std::this_thread::get_id());
}

TEST(loop_submit, carries_exceptions_with_their_type) {
  test::loop_thread l;
  auto fail = [](int n) -> int { throw std::out_of_range(std::to_string(n)); };
  auto fail_later = [](int n) -> task<int> {
    co_await yield();
    throw std::out_of_range(std::to_string(n));
  };
  EXPECT_THROW(l->submit(fail, 1).get(), std::out_of_range);
  EXPECT_THROW(l->submit(fail_later, 2).get(), std::out_of_range);
}

TEST(loop_submit, keeps_a_coroutine_lambda_s_captures_and_its_arguments_until_it_has_ended) {
  test::loop_thread l;
  const std::string text(100, 'x');
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): what this test is about
  auto closure = [text](const std::string& argument) -> task<std::string> {
    co_await yield();
    co_return text + argument;
  };
  EXPECT_EQ(l->submit(closure, std::string(100, 'y')).get(), text + std::string(100, 'y'));
}

TEST(loop_submit, call_s_closure_and_arguments_are_gone_when_its_future_is_ready) {
  test::loop_thread l;
  const auto captured = std::make_shared<int>(1);
  auto f = l->submit([captured] {});
  f.wait();
  EXPECT_EQ(captured.use_count(), 1);
  auto coroutine = [](std::shared_ptr<int> argument) -> task<int> {
    co_await yield();
    co_return *argument;
  };
  auto g = l->submit(coroutine, captured);
  g.wait();
  EXPECT_EQ(captured.use_count(), 1);
}

TEST(loop_submit, from_the_loop_itself_runs_beside_the_caller) {
  auto body = []() -> task<int> {
    future<int> f = loop::current().submit(add_later, 1, 2);
    future<int> g = loop::current().submit(add, 3, 4);
    const int first = co_await f;
    co_return first + co_await g;
  };
  EXPECT_EQ(run(body()), 10);
}

TEST(loop_submit, from_one_loop_to_another_is_one_await) {
  test::loop_thread other;
  auto body = [](loop& there) -> task<int> {
    future<int> f = there.submit(add_later, 1, 2);
    const int result = co_await f;
    EXPECT_NE(&loop::current(), &there);
    co_return result;
  };
  EXPECT_EQ(run(body(*other)), 3);
}

TEST(loop_submit, call_on_a_loop_that_never_runs_gets_pool_closed) {
  std::optional<loop> l(std::in_place);
  bool ran = false;
  auto f = l->submit([&ran] { ran = true; });
  auto g = l->submit(add_later, 1, 2);
  EXPECT_FALSE(f.ready());
  l.reset();
  EXPECT_THROW(f.get(), pool_closed);
  EXPECT_THROW(g.get(), pool_closed);
  EXPECT_FALSE(f.valid());
  EXPECT_FALSE(ran);
}

TEST(loop_submit, call_submitted_between_two_runs_runs_in_the_second) {
  loop l;
  l.run(nothing());
  auto f = l.submit(add, 1, 2);
  l.run(test::let_others_run());
  EXPECT_EQ(f.get(), 3);
}

TEST(loop_submit, blocking_wait_for_another_thread_s_call_works_with_a_time_limit) {
  test::loop_thread l;
  event go;
  auto f = l->submit(wait_for, std::ref(go));
  EXPECT_THROW(f.get(1ms), timed_out);
  go.set();
  f.get();
}

TEST(loop_cancel, call_that_waits_is_cancelled_from_another_thread) {
  test::loop_thread l;
  event never_set;
  auto f = l->submit(wait_for, std::ref(never_set));
  EXPECT_TRUE(f.cancel());
  EXPECT_THROW(f.get(), cancelled);
}

TEST(loop_cancel, queued_call_is_not_run_any_more) {
  loop l;
  bool ran = false;
  auto plain = l.submit([&ran] { ran = true; });
  auto coroutine = l.submit(add_later, 1, 2);
  EXPECT_TRUE(plain.cancel());
  EXPECT_TRUE(coroutine.cancel());
  l.run(test::let_others_run());
  EXPECT_FALSE(ran);
  EXPECT_THROW(plain.get(), cancelled);
  EXPECT_THROW(coroutine.get(), cancelled);
}

TEST(loop_cancel, call_spawned_but_not_started_is_not_run_any_more) {
  auto mark = [](bool& flag) -> task<> {
    flag = true;
    co_return;
  };
  bool ran = false;
  auto body = [](auto& work, bool& flag) -> task<> {
    future<void> f = spawn(work(flag));
    EXPECT_TRUE(f.cancel());
    try {
      co_await f;
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
  };
  run(body(mark, ran));
  EXPECT_FALSE(ran);
}

TEST(loop_cancel, call_that_has_ended_cannot_be_cancelled) {
  test::loop_thread l;
  auto f = l->submit(add_later, 1, 2);
  f.wait();
  EXPECT_FALSE(f.cancel());
  EXPECT_EQ(f.get(), 3);
}

TEST(loop_cancel, after_the_loop_has_gone_does_nothing) {
  std::optional<loop> l(std::in_place);
  auto f = l->submit(add, 1, 2);
  l.reset();
  EXPECT_FALSE(f.cancel());
  EXPECT_THROW(f.get(), pool_closed);
}

TEST(loop_cancel, racing_with_the_end_of_the_call_and_of_the_loop_has_one_outcome) {
  for (int round = 0; round < 500; ++round) {
    std::optional<loop> l(std::in_place);
    auto f = l->submit(give_later, round);
    std::jthread canceller([&f] { f.cancel(); });
    l->run(test::let_others_run(round % 5));
    l.reset();
    canceller.join();
    ASSERT_TRUE(f.ready());
    try {
      EXPECT_EQ(f.get(), round);
    } catch (const cancelled&) {
    } catch (const pool_closed&) {
    }
  }
}

TEST(loop_cancel, racing_with_the_destruction_of_a_loop_that_never_ran_has_one_outcome) {
  for (int round = 0; round < 500; ++round) {
    std::optional<loop> l(std::in_place);
    std::vector<future<int>> calls;
    for (int i = 0; i < 5; ++i)
      calls.push_back(l->submit(add, 1, i));
    std::jthread canceller([&calls] {
      for (auto& c : calls)
        c.cancel();
    });
    l.reset();
    canceller.join();
    for (auto& c : calls)
      EXPECT_THROW(c.get(), error);
  }
}

TEST(loop_cancel, future_dropped_on_another_thread_while_its_call_runs_is_no_harm) {
  test::loop_thread l;
  for (int round = 0; round < 500; ++round) {
    auto f = l->submit(give_later, round);
    if (round % 2 == 0)
      f.cancel();
  }
  l->submit([] {}).get();
}

} // namespace
} // namespace fourfold
