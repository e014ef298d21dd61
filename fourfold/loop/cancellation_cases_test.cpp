#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<> wait_for(event& e) { co_await e.async_wait(); }
task<> sleep_for_ever() { co_await sleep_until(never); }
task<> await_future(future<void>& f) { co_await f; }

template <class T>
task<bool> throws_cancelled(future<T>& f) {
  try {
    co_await f;
  } catch (const cancelled&) {
    co_return true;
  }
  co_return false;
}

/// Spawns `work`, lets it begin to wait, and cancels it.
template <class T>
task<T> spawn_and_cancel(task<T> work) {
  future<T> f = spawn(std::move(work));
  co_await test::let_others_run();
  EXPECT_FALSE(f.ready());
  EXPECT_TRUE(f.cancel());
  co_return co_await f;
}

TEST(cancellation_of_tasks, of_awaited_work_does_not_cancel_the_awaiter) {
  auto body = []() -> task<> {
    future<void> f = spawn(sleep_for_ever());
    co_await yield();
    EXPECT_TRUE(f.cancel());
    EXPECT_TRUE(co_await throws_cancelled(f));
    co_await yield();
    co_await sleep(1us);
  };
  run(body());
}

TEST(cancellation_of_tasks, work_that_catches_it_and_ends_delivers_its_result) {
  auto stubborn = []() -> task<int> {
    try {
      co_await sleep_for_ever();
    } catch (const cancelled&) {
    }
    co_return 5;
  };
  EXPECT_EQ(run(spawn_and_cancel(stubborn())), 5);
}

TEST(cancellation_of_tasks, exception_of_the_clean_up_takes_the_place_of_cancelled) {
  auto work = []() -> task<> {
    try {
      co_await sleep_for_ever();
    } catch (const cancelled&) {
      throw std::invalid_argument("while cleaning up");
    }
  };
  EXPECT_THROW(run(spawn_and_cancel(work())), std::invalid_argument);
}

struct own_work {
  future<int> own;
  bool cancelled_itself = false;
  bool went_on = false;
};

task<int> cancel_itself(own_work& w, bool then_wait) {
  w.cancelled_itself = w.own.cancel();
  if (then_wait)
    co_await yield();
  w.went_on = true;
  co_return 3;
}

task<int> run_own_work(own_work& w, bool then_wait) {
  w.own = spawn(cancel_itself(w, then_wait));
  co_return co_await w.own;
}

TEST(cancellation_of_tasks, work_that_cancels_itself_ends_at_its_next_wait) {
  own_work w;
  EXPECT_THROW(run(run_own_work(w, true)), cancelled);
  EXPECT_TRUE(w.cancelled_itself);
  EXPECT_FALSE(w.went_on);
}

TEST(cancellation_of_tasks, work_that_cancels_itself_and_ends_without_a_wait_delivers_its_result) {
  own_work w;
  EXPECT_EQ(run(run_own_work(w, false)), 3);
  EXPECT_TRUE(w.cancelled_itself);
}

TEST(cancellation_of_tasks, twice_is_as_once_and_does_not_interrupt_the_clean_up) {
  struct state {
    event forever;
    event cleaned;
    int caught = 0;
    int ended = 0;
  } s;
  auto work = [](state& st) -> task<> {
    try {
      co_await st.forever.async_wait();
    } catch (const cancelled&) {
      ++st.caught;
    }
    co_await shield(wait_for(st.cleaned));
    ++st.ended;
  };
  auto body = [](state& st, auto& each) -> task<> {
    future<void> f = spawn(each(st));
    co_await test::let_others_run();
    EXPECT_TRUE(f.cancel());
    f.cancel();
    co_await test::let_others_run();
    EXPECT_EQ(st.caught, 1);
    f.cancel();
    co_await test::let_others_run();
    EXPECT_FALSE(f.ready());
    st.cleaned.set();
    co_await f;
  };
  run(body(s, work));
  EXPECT_EQ(s.caught, 1);
  EXPECT_EQ(s.ended, 1);
}

TEST(cancellation_of_tasks, of_awaiter_and_awaited_work_in_one_turn_ends_each_once) {
  auto body = [](bool awaiter_first) -> task<> {
    future<void> inner = spawn(sleep_for_ever());
    future<void> outer = spawn(await_future(inner));
    co_await test::let_others_run();
    if (awaiter_first) {
      EXPECT_TRUE(outer.cancel());
      inner.cancel();
    } else {
      EXPECT_TRUE(inner.cancel());
      outer.cancel();
    }
    EXPECT_TRUE(co_await throws_cancelled(outer));
    EXPECT_TRUE(inner.valid()) << "an interrupted wait leaves the future to its owner";
    EXPECT_TRUE(co_await throws_cancelled(inner));
  };
  run(body(false));
  run(body(true));
}

struct note_end {
  std::vector<int>& to;
  int number;
  ~note_end() { to.push_back(number); }
};

task<> wait_at_depth(int depth, event& forever, std::vector<int>& unwound) {
  const note_end at_end{unwound, depth};
  if (depth == 0) {
    co_await forever.async_wait();
  } else {
    co_await wait_at_depth(depth - 1, forever, unwound);
  }
}

TEST(cancellation_of_tasks, reaches_the_leaf_of_a_deep_chain_and_unwinds_every_level_from_the_inside) {
  event forever;
  std::vector<int> unwound;
  EXPECT_THROW(run(spawn_and_cancel(wait_at_depth(2000, forever, unwound))), cancelled);
  std::vector<int> expected(2001);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(unwound, expected);
}

// A wait that would last for ever, and a cancellation that comes back to where it started.
TEST(cancellation_of_tasks, of_work_that_awaits_its_own_future_ends_it) {
  struct state {
    future<void> own;
  } s;
  auto work = [](state& st) -> task<> { co_await st.own; };
  auto body = [](state& st, auto& each) -> task<> {
    st.own = spawn(each(st));
    co_await test::let_others_run();
    EXPECT_FALSE(st.own.ready());
    EXPECT_TRUE(st.own.cancel());
    co_await test::let_others_run();
    EXPECT_TRUE(co_await throws_cancelled(st.own));
  };
  run(body(s, work));
}

TEST(cancellation_of_tasks, one_that_ends_may_cancel_another_while_it_unwinds) {
  struct state {
    event forever;
    future<void> other;
    bool other_told = false;
  } s;
  struct cancel_other {
    state& st;
    ~cancel_other() { st.other_told = st.other.cancel(); }
  };
  auto work = [](state& st) -> task<> {
    const cancel_other at_end{st};
    co_await st.forever.async_wait();
  };
  auto body = [](state& st, auto& each) -> task<> {
    st.other = spawn(wait_for(st.forever));
    future<void> f = spawn(each(st));
    co_await test::let_others_run();
    EXPECT_TRUE(f.cancel());
    EXPECT_TRUE(co_await throws_cancelled(f));
    EXPECT_TRUE(co_await throws_cancelled(st.other));
  };
  run(body(s, work));
  EXPECT_TRUE(s.other_told);
}

/// Runs `work` in a task that was cancelled already.
template <class Work>
task<> in_a_cancelled_task(Work& work) {
  try {
    co_await sleep_for_ever();
  } catch (const cancelled&) {
  }
  co_await work();
}

struct steps {
  int started = 0;
  int ended = 0;
};

task<> two_steps(steps& s) {
  ++s.started;
  co_await yield();
  ++s.ended;
}

TEST(cancellation_of_tasks,
     that_came_before_lets_a_gather_start_its_tasks_and_ends_them_at_their_first_wait) {
  steps s;
  auto work = [&]() { return gather(two_steps(s), two_steps(s)); };
  EXPECT_THROW(run(spawn_and_cancel(in_a_cancelled_task(work))), cancelled);
  EXPECT_EQ(s.started, 2);
  EXPECT_EQ(s.ended, 0);
}

TEST(cancellation_of_tasks, that_came_before_lets_a_group_start_its_tasks_and_ends_them_at_their_first_wait) {
  steps s;
  auto body = [](task_group& group, steps& st) -> task<> {
    group.spawn(two_steps(st));
    group.spawn(two_steps(st));
    co_return;
  };
  auto bound = [&](task_group& group) { return body(group, s); };
  auto work = [&]() { return with_task_group(bound); };
  EXPECT_THROW(run(spawn_and_cancel(in_a_cancelled_task(work))), cancelled);
  EXPECT_EQ(s.started, 2);
  EXPECT_EQ(s.ended, 0);
}

TEST(cancellation_of_tasks, that_came_before_is_not_taken_for_a_limit_that_passed) {
  auto zero = []() { return timeout(0s, sleep_for_ever()); };
  auto long_one = []() { return timeout(1h, sleep_for_ever()); };
  EXPECT_THROW(run(spawn_and_cancel(in_a_cancelled_task(zero))), cancelled);
  EXPECT_THROW(run(spawn_and_cancel(in_a_cancelled_task(long_one))), cancelled);
}

TEST(shield, passes_the_end_of_cancelled_work_inside_and_does_not_cancel_its_caller) {
  auto body = []() -> task<> {
    future<void> f = spawn(sleep_for_ever());
    co_await yield();
    f.cancel();
    try {
      co_await shield(await_future(f));
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
    co_await yield();
  };
  run(body());
}

TEST(shield, nests) {
  struct state {
    event go;
    int done = 0;
  } s;
  auto inside = [](state& st) -> task<> {
    co_await shield(wait_for(st.go));
    co_await yield(); // in the outer one still
    ++st.done;
  };
  auto work = [](state& st, auto& in) -> task<> {
    co_await shield(in(st));
    co_await yield();
    ++st.done;
  };
  auto body = [](state& st, auto& outer, auto& in) -> task<> {
    future<void> f = spawn(outer(st, in));
    co_await test::let_others_run();
    f.cancel();
    co_await test::let_others_run();
    st.go.set();
    EXPECT_TRUE(co_await throws_cancelled(f));
  };
  run(body(s, work, inside));
  EXPECT_EQ(s.done, 1);
}

TEST(shield, around_one_of_several_tasks_holds_the_others_end_back) {
  struct state {
    event go;
    event forever;
    bool shielded_done = false;
  } s;
  auto protected_one = [](state& st) -> task<> {
    co_await shield(wait_for(st.go));
    st.shielded_done = true;
  };
  auto work = [](state& st, auto& one) -> task<> { co_await gather(one(st), wait_for(st.forever)); };
  auto body = [](state& st, auto& outer, auto& one) -> task<> {
    future<void> f = spawn(outer(st, one));
    co_await test::let_others_run();
    f.cancel();
    co_await test::let_others_run();
    EXPECT_FALSE(f.ready()) << "a gather waits for all of its tasks";
    st.go.set();
    EXPECT_TRUE(co_await throws_cancelled(f));
  };
  run(body(s, work, protected_one));
  EXPECT_TRUE(s.shielded_done);
}

} // namespace
} // namespace fourfold
