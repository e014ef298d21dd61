#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/queue.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<int> give(int n) { co_return n; }
task<int> sleep_then_give(clock::duration d, int n) {
  co_await sleep(d);
  co_return n;
}
task<> sleep_for_ever() { co_await sleep_until(never); }

TEST(timeout, passes_on_what_ends_in_time) {
  static int variable = 0;
  auto reference = []() -> task<int&> { co_return variable; };
  auto owner = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
  auto fail = []() -> task<int> {
    co_await yield();
    throw std::out_of_range("work");
  };
  EXPECT_EQ(run(timeout(1h, sleep_then_give(1ms, 2))), 2);
  EXPECT_EQ(&run(timeout(1h, reference())), &variable);
  EXPECT_EQ(*run(timeout(1h, owner())), 3);
  run(timeout(1h, test::let_others_run()));
  EXPECT_THROW(run(timeout(1h, fail())), std::out_of_range);
  EXPECT_EQ(run(timeout(std::chrono::hours::max(), give(1))), 1);
  EXPECT_EQ(run(timeout_at(never, give(1))), 1);
}

task<> get(queue<int>& q) { co_await q.async_get(); }
task<> put(queue<int>& q) { co_await q.async_put(1); }
task<> lock(mutex& m) { co_await m.async_lock(); }
task<> wait(event& e) { co_await e.async_wait(); }
task<> await_future(future<int>& f) { co_await f; }
task<> await_child() { co_await gather(sleep_for_ever(), sleep_for_ever()); }

TEST(timeout, ends_every_kind_of_wait) {
  queue<int> empty;
  queue<int> full(0);
  mutex m;
  const std::scoped_lock held(m);
  event e;
  promise<int> p;
  future<int> f = p.get_future();
  EXPECT_THROW(run(timeout(1ms, sleep_for_ever())), timed_out);
  EXPECT_THROW(run(timeout(1ms, get(empty))), timed_out);
  EXPECT_THROW(run(timeout(1ms, put(full))), timed_out);
  EXPECT_THROW(run(timeout(1ms, lock(m))), timed_out);
  EXPECT_THROW(run(timeout(1ms, wait(e))), timed_out);
  EXPECT_THROW(run(timeout(1ms, await_future(f))), timed_out);
  EXPECT_THROW(run(timeout(1ms, await_child())), timed_out);
  EXPECT_TRUE(f.valid());
}

TEST(timeout, cancels_the_work_and_waits_until_it_has_cleaned_up) {
  bool cleaned_up = false;
  auto work = [](bool& done) -> task<> {
    try {
      co_await sleep_for_ever();
    } catch (const cancelled&) {
    }
    co_await shield(test::let_others_run());
    done = true;
    co_await yield(); // throws again
  };
  EXPECT_THROW(run(timeout(1ms, work(cleaned_up))), timed_out);
  EXPECT_TRUE(cleaned_up);
}

TEST(timeout, zero_or_past_lets_work_do_what_needs_no_waiting) {
  queue<int> q;
  q.put(1);
  q.put(2);
  auto take = [](queue<int>& from) -> task<int> { co_return co_await from.async_get(); };
  EXPECT_EQ(run(timeout(0s, take(q))), 1);
  EXPECT_EQ(run(timeout(-1h, take(q))), 2);
  EXPECT_THROW(run(timeout(0s, take(q))), timed_out);
  EXPECT_THROW(run(timeout_at(clock::time_point::min(), take(q))), timed_out);
  EXPECT_THROW(run(timeout(0s, sleep_for_ever())), timed_out);
  EXPECT_EQ(run(timeout(0s, give(3))), 3);
}

TEST(timeout, what_follows_is_not_cancelled) {
  auto body = []() -> task<> {
    for (int i = 0; i < 5; ++i) {
      try {
        co_await timeout(100us, sleep_for_ever());
        ADD_FAILURE();
      } catch (const timed_out&) {
      }
      co_await sleep(10us);
    }
  };
  run(body());
}

TEST(timeout, work_that_finishes_although_it_was_cancelled_delivers_its_result) {
  auto stubborn = []() -> task<int> {
    try {
      co_await sleep_for_ever();
    } catch (const cancelled&) {
    }
    co_return 5;
  };
  EXPECT_EQ(run(timeout(1ms, stubborn())), 5);
}

TEST(timeout, inner_limit_that_passes_first_is_the_inner_one_s_error) {
  auto inner = []() -> task<int> {
    try {
      co_await timeout(1ms, sleep_for_ever());
      co_return 0;
    } catch (const timed_out&) {
    }
    co_await sleep(10us); // the outer limit has not passed
    co_return 1;
  };
  EXPECT_EQ(run(timeout(1h, inner())), 1);
}

TEST(timeout, outer_limit_that_passes_first_goes_through_the_inner_one) {
  auto inner = []() -> task<int> {
    try {
      co_await timeout(1h, sleep_for_ever());
    } catch (const timed_out&) {
      ADD_FAILURE() << "the inner limit has not passed";
    }
    co_return 0;
  };
  EXPECT_THROW(run(timeout(1ms, inner())), timed_out);
}

TEST(timeout, limits_that_pass_together_are_the_outer_one_s_error) {
  auto nested = [](clock::time_point deadline) -> task<> {
    try {
      co_await timeout_at(deadline, sleep_for_ever());
    } catch (const timed_out&) {
      ADD_FAILURE() << "the inner limit must not hide the outer one";
    }
  };
  const auto deadline = clock::now() + 1ms;
  EXPECT_THROW(run(timeout_at(deadline, nested(deadline))), timed_out);
}

// Both are due when the loop looks at its timers again, and the one that wakes first withdraws the other or
// comes before it.
TEST(timeout, and_a_sleep_inside_that_pass_while_the_loop_is_busy_count_in_their_order) {
  auto keep_busy = [](clock::time_point until) -> task<> {
    while (clock::now() < until) {
    }
    co_return;
  };
  auto both = [](clock::time_point limit, clock::time_point end, auto& busy) -> task<> {
    auto inside = [](clock::time_point until) -> task<> { co_await sleep_until(until); };
    co_await gather(timeout_at(limit, inside(end)), busy(std::max(limit, end)));
  };
  const auto soon = clock::now() + 1ms;
  EXPECT_THROW(run(both(soon, soon + 1ns, keep_busy)), timed_out);
  EXPECT_NO_THROW(run(both(soon + 2ms + 1ns, soon + 2ms, keep_busy)));
}

TEST(timeout, exception_of_work_that_was_cancelled_is_kept) {
  auto work = []() -> task<> {
    try {
      co_await sleep_for_ever();
    } catch (const cancelled&) {
      throw std::invalid_argument("while cleaning up");
    }
  };
  EXPECT_THROW(run(timeout(1ms, work())), std::invalid_argument);
}

// The item is granted and the limit passes before the coroutine has run again.
TEST(timeout, result_that_was_there_first_is_not_lost) {
  auto take = [](queue<int>& from) -> task<int> { co_return co_await from.async_get(); };
  auto body = [](auto& get_one) -> task<> {
    queue<int> q;
    const auto deadline = clock::now() + 1ms;
    future<int> f = spawn(timeout_at(deadline, get_one(q)));
    co_await yield();
    while (clock::now() <= deadline) {
    }
    q.put(7); // the getter is queued; the timer fires at the loop's next turn, or after it
    EXPECT_EQ(co_await f, 7);
  };
  run(body(take));
}

TEST(timeout, items_from_another_thread_race_with_the_limit_and_none_is_lost) {
  constexpr int count = 2000;
  queue<int> q;
  std::jthread producer([&] {
    for (int i = 0; i < count; ++i)
      q.put(i);
    q.close();
  });
  auto consume = [](queue<int>& from) -> task<int> {
    auto take = [](queue<int>& one) -> task<std::optional<int>> { co_return co_await one.async_next(); };
    int expected = 0;
    for (int round = 0;; ++round) {
      try {
        const auto got = co_await timeout(std::chrono::microseconds(round % 5), take(from));
        if (!got)
          co_return expected;
        EXPECT_EQ(*got, expected++);
      } catch (const timed_out&) {
      }
    }
  };
  EXPECT_EQ(run(consume(q)), count);
}

TEST(cancellation_of_tasks, is_a_state_that_catching_once_does_not_end) {
  int thrown = 0;
  auto swallower = [](int& count) -> task<> {
    event forever;
    mutex m;
    queue<int> q;
    q.put(1);
    auto each = [](auto attempt, int& n) -> task<> {
      try {
        co_await attempt();
        ADD_FAILURE();
      } catch (const cancelled&) {
        ++n;
      }
    };
    auto waiting = [&] { return wait(forever); };
    auto sleeping = [] { return sleep_for_ever(); };
    auto yielding = [] { return test::let_others_run(1); };
    auto locking = [&] { return lock(m); };
    auto getting = [&] { return get(q); };
    co_await each(waiting, count);
    co_await each(sleeping, count);
    co_await each(yielding, count);
    co_await each(locking, count);
    co_await each(getting, count);
    EXPECT_TRUE(m.try_lock()) << "a wait in a cancelled task has no effect";
    EXPECT_EQ(q.size(), 1U);
    m.unlock();
  };
  auto body = [](auto& work, int& count) -> task<> {
    future<void> f = spawn(work(count));
    co_await test::let_others_run();
    f.cancel();
    co_await f;
  };
  run(body(swallower, thrown));
  EXPECT_EQ(thrown, 5);
}

TEST(cancellation_of_tasks, does_not_disturb_work_that_never_waits) {
  auto body = []() -> task<int> {
    future<int> f = spawn(sleep_then_give(1h, 1));
    co_await yield();
    f.cancel();
    int sum = 0;
    for (int i = 0; i < 100; ++i)
      sum += co_await give(1);
    co_return sum;
  };
  EXPECT_EQ(run(body()), 100);
}

TEST(cancellation_of_tasks, of_an_awaiting_task_reaches_the_work_behind_the_future) {
  bool inner_cancelled = false;
  auto inner = [](bool& noted) -> task<> {
    try {
      co_await sleep_for_ever();
    } catch (const cancelled&) {
      noted = true;
      throw;
    }
  };
  auto outer = [](future<void>& f) -> task<> { co_await f; };
  auto body = [](auto& in, auto& out, bool& noted) -> task<> {
    future<void> f = spawn(in(noted));
    future<void> g = spawn(out(f));
    co_await test::let_others_run();
    g.cancel();
    try {
      co_await g;
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
    co_await test::let_others_run();
    EXPECT_TRUE(f.ready());
  };
  run(body(inner, outer, inner_cancelled));
  EXPECT_TRUE(inner_cancelled);
}

TEST(shield, keeps_cancellation_out_and_delivers_it_afterwards) {
  struct state {
    event go;
    bool inside_done = false;
    bool after = false;
  } s;
  auto protected_part = [](state& st) -> task<int> {
    co_await st.go.async_wait();
    co_await sleep(10us);
    st.inside_done = true;
    co_return 4;
  };
  auto work = [](state& st, auto& inside) -> task<> {
    EXPECT_EQ(co_await shield(inside(st)), 4);
    EXPECT_TRUE(st.inside_done);
    co_await yield();
    st.after = true;
  };
  auto body = [](state& st, auto& outer, auto& inside) -> task<> {
    future<void> f = spawn(outer(st, inside));
    co_await test::let_others_run();
    EXPECT_TRUE(f.cancel());
    co_await test::let_others_run();
    EXPECT_FALSE(f.ready());
    st.go.set();
    try {
      co_await f;
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
  };
  run(body(s, work, protected_part));
  EXPECT_TRUE(s.inside_done);
  EXPECT_FALSE(s.after);
}

TEST(shield, limit_inside_of_it_still_works_and_so_does_a_group) {
  auto inside = []() -> task<> {
    try {
      co_await timeout(1ms, sleep_for_ever());
      ADD_FAILURE();
    } catch (const timed_out&) {
    }
    co_await gather(give(1), sleep_then_give(1ms, 2));
  };
  auto outside = [](auto& in) -> task<> {
    co_await shield(in());
    co_await yield();
    ADD_FAILURE() << "the limit around the shield passed meanwhile";
  };
  EXPECT_THROW(run(timeout(0s, outside(inside))), timed_out);
}

TEST(shield, passes_results_and_exceptions) {
  auto fail = []() -> task<int> { throw std::out_of_range("inside"); };
  EXPECT_EQ(run(shield(give(3))), 3);
  EXPECT_THROW(run(shield(fail())), std::out_of_range);
}

} // namespace
} // namespace fourfold
