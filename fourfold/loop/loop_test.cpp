#include <fourfold/base/errors.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<> nothing() { co_return; }
task<int> give(int n) { co_return n; }
task<int> give_later(int n) {
  co_await yield();
  co_return n;
}
task<> wait_for(event& e) { co_await e.async_wait(); }

TEST(loop, runs_one_task_after_another) {
  loop l;
  EXPECT_EQ(l.run(give(1)), 1);
  EXPECT_EQ(l.run(give_later(2)), 2);
  EXPECT_EQ(loop::current_or_null(), nullptr);
}

TEST(loop, is_usable_again_after_its_task_failed) {
  loop l;
  auto fail = []() -> task<> {
    co_await yield();
    throw std::out_of_range("far");
  };
  EXPECT_THROW(l.run(fail()), std::out_of_range);
  EXPECT_EQ(l.run(give(2)), 2);
}

TEST(loop, is_current_only_on_its_thread_and_while_it_runs) {
  loop l;
  EXPECT_THROW(static_cast<void>(loop::current()), wrong_thread);
  auto body = [](loop& expected) -> task<> {
    EXPECT_EQ(&loop::current(), &expected);
    std::jthread([] { EXPECT_EQ(loop::current_or_null(), nullptr); }).join();
    co_await yield();
    EXPECT_EQ(&loop::current(), &expected);
  };
  l.run(body(l));
  EXPECT_THROW(static_cast<void>(loop::current()), wrong_thread);
  EXPECT_THROW(spawn(nothing()), wrong_thread);
}

TEST(loop, run_inside_of_run_is_an_error) {
  auto body = []() -> task<> {
    EXPECT_THROW(run(nothing()), wrong_thread);
    loop other;
    EXPECT_THROW(other.run(nothing()), wrong_thread);
    EXPECT_THROW(loop::current().run(nothing()), wrong_thread);
    co_await yield();
  };
  run(body());
}

TEST(loop, run_while_it_runs_on_another_thread_is_an_error) {
  test::loop_thread running;
  running->submit([] {}).get();
  EXPECT_THROW(running->run(nothing()), wrong_thread);
}

TEST(loop, spawned_task_runs_beside_its_spawner) {
  auto body = []() -> task<int> {
    future<int> beside = spawn(give_later(5));
    EXPECT_FALSE(beside.ready());
    co_await test::let_others_run();
    EXPECT_TRUE(beside.ready());
    co_return co_await beside;
  };
  EXPECT_EQ(run(body()), 5);
}

TEST(loop, spawned_tasks_left_at_the_end_are_cancelled_and_waited_for) {
  struct state {
    int cancelled = 0;
    int cleaned_up = 0;
    event forever;
  } s;
  auto left_behind = [](state& st) -> task<> {
    try {
      co_await st.forever.async_wait();
    } catch (const cancelled&) {
      ++st.cancelled;
    }
    co_await shield(test::let_others_run());
    ++st.cleaned_up;
  };
  auto body = [](state& st, auto& leave) -> task<> {
    for (int i = 0; i < 3; ++i)
      spawn(leave(st));
    co_await yield();
  };
  run(body(s, left_behind));
  EXPECT_EQ(s.cancelled, 3);
  EXPECT_EQ(s.cleaned_up, 3);
}

TEST(loop, task_spawned_as_the_last_act_still_starts_and_is_cancelled) {
  bool started = false;
  bool ended = false;
  auto late = [](bool& start, bool& end) -> task<> {
    start = true;
    event forever;
    co_await forever.async_wait();
    end = true;
  };
  auto body = [](auto& work, bool& start, bool& end) -> task<> {
    spawn(work(start, end));
    co_return;
  };
  run(body(late, started, ended));
  EXPECT_TRUE(started);
  EXPECT_FALSE(ended);
}

TEST(loop, blocking_wait_for_its_own_future_is_an_error) {
  auto body = []() -> task<> {
    future<int> f = spawn(give_later(1));
    EXPECT_THROW(f.get(), wrong_thread);
    EXPECT_THROW(f.wait(1s), wrong_thread);
    EXPECT_EQ(co_await f, 1);
  };
  run(body());
}

TEST(loop, post_runs_functions_in_order_on_the_loop) {
  loop l;
  std::vector<int> order;
  std::thread::id where;
  for (int i = 0; i < 5; ++i) {
    l.post([&, i] {
      order.push_back(i);
      where = std::this_thread::get_id();
    });
  }
  l.run(test::let_others_run());
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
  EXPECT_EQ(where, std::this_thread::get_id());
}

TEST(loop, posts_from_many_threads_all_arrive_each_thread_s_in_order) {
  constexpr int threads = 4;
  constexpr int posts = 10'000;
  struct state {
    std::vector<int> next = std::vector<int>(threads);
    int wrong = 0;
    int arrived = 0;
    event all;
  } s;
  loop l;
  std::vector<std::jthread> posters;
  for (std::size_t t = 0; t < threads; ++t) {
    posters.emplace_back([&, t] {
      for (int i = 0; i < posts; ++i) {
        l.post([&s, t, i, all = threads * posts] {
          if (s.next[t]++ != i)
            ++s.wrong;
          if (++s.arrived == all)
            s.all.set();
        });
      }
    });
  }
  l.run(wait_for(s.all));
  EXPECT_EQ(s.arrived, threads * posts);
  EXPECT_EQ(s.wrong, 0);
}

TEST(loop, may_be_destroyed_as_soon_as_the_last_post_has_run) {
  for (int round = 0; round < 500; ++round) {
    event last;
    std::jthread poster;
    {
      loop l;
      poster = std::jthread([&l, &last] { l.post([&last] { last.set(); }); });
      l.run(wait_for(last));
    }
  }
}

TEST(loop, may_be_destroyed_as_soon_as_a_wake_up_from_another_thread_has_arrived) {
  for (int round = 0; round < 500; ++round) {
    event last;
    std::jthread setter([&last] { last.set(); });
    run(wait_for(last));
  }
}

TEST(loop, posted_functions_that_never_ran_are_destroyed_with_it) {
  const auto captured = std::make_shared<int>(1);
  {
    loop l;
    l.post([captured] { ADD_FAILURE(); });
    EXPECT_EQ(captured.use_count(), 2);
  }
  EXPECT_EQ(captured.use_count(), 1);
}

task<int> add_later(int a, int b) {
  co_await yield();
  co_return a + b;
}

TEST(loop, several_loops_run_side_by_side_and_hand_work_around) {
  test::loop_thread loops[3];
  auto hop = [](loop& second, loop& third) -> task<int> {
    future<int> there = second.submit(add_later, 1, 2);
    const int a = co_await there;
    future<int> further = third.submit(add_later, a, 3);
    co_return co_await further;
  };
  std::vector<future<int>> results;
  for (int i = 0; i < 100; ++i) {
    results.push_back(loops[0]->submit(hop, std::ref(*loops[1]), std::ref(*loops[2])));
  }
  for (auto& r : results)
    EXPECT_EQ(r.get(), 6);
}

task<> count_yields(std::atomic<bool>& stop, long& count) {
  while (!stop) {
    ++count;
    co_await yield();
  }
}

TEST(loop, ready_tasks_do_not_starve_timers_or_posts_from_other_threads) {
  struct state {
    std::atomic<bool> stop{false};
    long yields = 0;
    bool slept = false;
  } s;
  auto sleeper = [](state& st) -> task<> {
    co_await sleep(2ms);
    st.slept = true;
  };
  auto body = [](state& st, auto& sleeping) -> task<> {
    std::vector<future<void>> busy;
    for (int i = 0; i < 100; ++i)
      busy.push_back(spawn(count_yields(st.stop, st.yields)));
    future<void> timer = spawn(sleeping(st));
    event posted;
    std::jthread poster([&posted, &l = loop::current()] { l.post([&posted] { posted.set(); }); });
    co_await timer;
    co_await posted.async_wait();
    st.stop = true;
    for (auto& b : busy)
      co_await b;
  };
  run(body(s, sleeper));
  EXPECT_TRUE(s.slept);
  EXPECT_GT(s.yields, 0);
}

TEST(loop, storm_of_posts_from_other_threads_does_not_starve_tasks_or_timers) {
  loop l;
  std::atomic<bool> stop{false};
  std::atomic<long> arrived{0};
  std::vector<std::jthread> posters;
  for (int i = 0; i < 2; ++i) {
    posters.emplace_back([&] {
      while (!stop) {
        std::atomic<bool> done{false};
        l.post([&] {
          ++arrived;
          done = true;
          done.notify_one();
        });
        done.wait(false);
      }
    });
  }
  auto body = [](std::atomic<bool>& end) -> task<> {
    for (int i = 0; i < 20; ++i) {
      co_await sleep(100us);
      co_await test::let_others_run();
    }
    end = true;
  };
  l.run(body(stop));
  // A post that came after the end of the task waits for the next run, and its poster with it.
  auto collect = [](std::vector<std::jthread>& threads) -> task<> {
    event joined;
    std::jthread joiner([&] {
      threads.clear();
      joined.set();
    });
    co_await joined.async_wait();
  };
  l.run(collect(posters));
  EXPECT_GT(arrived, 0);
}

} // namespace
} // namespace fourfold
