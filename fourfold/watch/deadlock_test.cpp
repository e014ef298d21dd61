#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/sync/future.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/recursive_mutex.hpp>
#include <fourfold/thread/thread_pool.hpp>
#include <fourfold/watch/watch_test.hpp>

#include <array>
#include <cstdlib>
#include <mutex>

// Every kind of circle, closed, found, and resolved by the exception that the last arrival gets.

namespace fourfold {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using watching::caught_deadlocks;
using watching::named_thread;
using watching::patience;
using watching::recorded_detection;

using namespace std::chrono_literals;

/// Who waits for a lock of its own may have passed that on; it is certain once it has lasted for this long.
const deadlock_options looking_often{.action = on_deadlock::throw_error, .look_every = 10ms};

TEST(deadlock, of_two_threads_that_lock_in_opposite_orders_throws_in_the_one_that_closes_it) {
  const recorded_detection detection(looking_often);
  mutex a;
  mutex b;
  event has_a;
  event has_b;
  caught_deadlocks caught;
  {
    const auto one = named_thread("locks-a-first", [&] {
      caught.run([&] {
        const std::scoped_lock first(a);
        has_a.set();
        has_b.wait(patience);
        const std::scoped_lock second(b);
      });
    });
    const auto other = named_thread("locks-b-first", [&] {
      caught.run([&] {
        const std::scoped_lock first(b);
        has_b.set();
        has_a.wait(patience);
        const std::scoped_lock second(a);
      });
    });
  }
  EXPECT_THAT(caught.texts(),
              ElementsAre(AllOf(HasSubstr("2 parties"), HasSubstr("(locks-a-first)"),
                                HasSubstr("(locks-b-first)"), HasSubstr("waits for mutex"),
                                HasSubstr("holds mutex"), HasSubstr("created at deadlock_test.cpp"))));
  EXPECT_EQ(detection.found().deadlocks, 1U);
  EXPECT_TRUE(a.try_lock());
  EXPECT_TRUE(b.try_lock());
  a.unlock();
  b.unlock();
}

TEST(deadlock, of_a_thread_with_itself_throws) {
  const recorded_detection detection(looking_often);
  mutex m;
  caught_deadlocks caught;
  caught.run([&] {
    const std::scoped_lock first(m);
    const std::scoped_lock again(m);
  });
  EXPECT_THAT(caught.texts(), ElementsAre(HasSubstr("one party waits for itself")));
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

TEST(deadlock, of_a_task_with_itself_throws) {
  const recorded_detection detection(looking_often);
  mutex m;
  auto locks_twice = [&]() -> task<> {
    const auto first = co_await m.async_scoped_lock();
    const auto again = co_await m.async_scoped_lock();
  };
  EXPECT_THROW(run(locks_twice()), deadlock);
  EXPECT_EQ(detection.found().deadlocks, 1U);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

TEST(deadlock, of_a_party_with_itself_throws_at_once_where_it_was_seen_that_the_locker_unlocks) {
  const recorded_detection detection(
      {.action = on_deadlock::throw_error, .look_every = std::chrono::hours(1)});
  mutex m;
  m.lock();
  m.unlock();
  m.lock();
  EXPECT_THROW(m.lock(), deadlock);
  m.unlock();
  auto locks_twice = [&]() -> task<> {
    const auto first = co_await m.async_scoped_lock();
    const auto again = co_await m.async_scoped_lock();
  };
  EXPECT_THROW(run(locks_twice()), deadlock);
}

TEST(deadlock, of_a_recursive_mutex_and_a_mutex_throws) {
  const recorded_detection detection(looking_often);
  recursive_mutex a;
  mutex b;
  event has_a;
  event has_b;
  caught_deadlocks caught;
  {
    const auto one = named_thread("a-twice-first", [&] {
      caught.run([&] {
        const std::scoped_lock first(a);
        const std::scoped_lock again(a);
        has_a.set();
        has_b.wait(patience);
        const std::scoped_lock second(b);
      });
    });
    const auto other = named_thread("b-first", [&] {
      caught.run([&] {
        const std::scoped_lock first(b);
        has_b.set();
        has_a.wait(patience);
        const std::scoped_lock second(a);
      });
    });
  }
  EXPECT_THAT(caught.texts(), ElementsAre(AllOf(HasSubstr("(a-twice-first)"), HasSubstr("(b-first)"))));
}

task<> lock_both(mutex& first, mutex& second, event& mine, event& others, caught_deadlocks& caught) {
  try {
    const auto one = co_await first.async_scoped_lock();
    mine.set();
    co_await others.async_wait();
    const auto two = co_await second.async_scoped_lock();
  } catch (const deadlock& e) {
    caught.add(e);
  }
}

TEST(deadlock, of_two_tasks_throws_and_names_them) {
  const recorded_detection detection(looking_often);
  mutex a;
  mutex b;
  event has_a;
  event has_b;
  caught_deadlocks caught;
  auto body = [&](task_group& group) -> task<> {
    group.spawn(lock_both(a, b, has_a, has_b, caught), "the painter");
    group.spawn(lock_both(b, a, has_b, has_a, caught), "the plumber");
    co_return;
  };
  run(with_task_group(body));
  EXPECT_THAT(caught.texts(), ElementsAre(AllOf(HasSubstr("task \"the painter\""),
                                                HasSubstr("task \"the plumber\""), HasSubstr("2 parties"))));
}

TEST(deadlock, of_a_thread_and_a_task_throws_in_either) {
  const recorded_detection detection(looking_often);
  mutex a;
  mutex b;
  event has_a;
  event has_b;
  caught_deadlocks caught;
  const auto thread = named_thread("b-first", [&] {
    caught.run([&] {
      const std::scoped_lock first(b);
      has_b.set();
      has_a.wait(patience);
      const std::scoped_lock second(a);
    });
  });
  auto body = [&](task_group& group) -> task<> {
    group.spawn(lock_both(a, b, has_a, has_b, caught), "a first");
    co_return;
  };
  run(with_task_group(body));
  // The thread may be the one that is caught, a moment after the loop has ended: no more than one of them is.
  while (caught.texts().empty())
    std::this_thread::yield();
  EXPECT_THAT(caught.texts(), ElementsAre(AllOf(HasSubstr("(b-first)"), HasSubstr("task \"a first\""))));
}

TEST(deadlock, of_a_task_that_blocks_its_loop_for_what_another_task_holds_throws) {
  const recorded_detection detection(looking_often);
  mutex m;
  event held;
  event never_needed;
  caught_deadlocks caught;
  auto holder = [&]() -> task<> {
    const auto lock = co_await m.async_scoped_lock();
    held.set();
    co_await never_needed.async_wait();
  };
  auto blocker = [&]() -> task<> {
    co_await held.async_wait();
    caught.run([&] { m.lock(); }); // should have been co_await m.async_lock()
    never_needed.set();
  };
  auto body = [&](task_group& group) -> task<> {
    group.spawn(holder(), "the holder");
    group.spawn(blocker(), "the blocker");
    co_return;
  };
  run(with_task_group(body));
  EXPECT_THAT(caught.texts(),
              ElementsAre(AllOf(HasSubstr("task \"the holder\""), HasSubstr("loop's thread is blocked"))));
}

TEST(deadlock, of_a_thread_that_waits_for_a_job_that_needs_its_lock_throws) {
  const recorded_detection detection(looking_often);
  thread_pool pool({.threads = 1, .name = "pool"});
  mutex m;
  event started;
  caught_deadlocks caught;
  auto job = [&] {
    started.set();
    caught.run([&] {
      m.lock();
      m.unlock();
    });
  };
  caught.run([&] {
    const std::scoped_lock guard(m);
    auto result = pool.submit(job);
    started.wait(patience);
    result.get();
  });
  pool.shutdown();
  EXPECT_THAT(caught.texts(),
              ElementsAre(AllOf(HasSubstr("(pool-0)"), HasSubstr("works at the result"),
                                HasSubstr("waits for the result"), HasSubstr("waits for mutex"))));
}

TEST(deadlock, of_two_jobs_that_wait_for_each_other_throws) {
  const recorded_detection detection(looking_often);
  thread_pool pool({.threads = 2});
  std::array<future<void>, 2> results;
  event stored;
  std::array<event, 2> begun;
  caught_deadlocks caught;
  auto wait_for_the_other = [&](std::size_t self) {
    begun.at(self).set();
    stored.wait(patience);
    begun.at(1 - self).wait(patience);
    caught.run([&] { results.at(1 - self).wait(); });
  };
  results[0] = pool.submit(wait_for_the_other, std::size_t{0});
  results[1] = pool.submit(wait_for_the_other, std::size_t{1});
  stored.set();
  pool.shutdown();
  EXPECT_THAT(caught.texts(), ElementsAre(HasSubstr("2 parties")));
}

TEST(deadlock, of_a_task_that_awaits_a_task_that_needs_its_lock_throws) {
  const recorded_detection detection(looking_often);
  mutex m;
  caught_deadlocks caught;
  auto needs_the_lock = [&]() -> task<> {
    try {
      co_await m.async_lock();
      m.unlock();
    } catch (const deadlock& e) {
      caught.add(e);
    }
  };
  auto main_task = [&]() -> task<> {
    const auto guard = co_await m.async_scoped_lock();
    auto result = spawn(needs_the_lock(), "inner");
    co_await result;
  };
  run(main_task());
  EXPECT_THAT(caught.texts(),
              ElementsAre(AllOf(HasSubstr("task \"inner\""), HasSubstr("waits for the result"))));
}

TEST(deadlock, of_a_group_whose_child_needs_a_lock_of_its_opener_throws_in_the_child) {
  const recorded_detection detection(looking_often);
  mutex m;
  caught_deadlocks caught;
  auto child = [&]() -> task<> {
    try {
      co_await m.async_lock();
      m.unlock();
    } catch (const deadlock& e) {
      caught.add(e);
    }
  };
  auto opener = [&]() -> task<> {
    const auto guard = co_await m.async_scoped_lock();
    auto body = [&](task_group& group) -> task<> {
      group.spawn(child(), "child");
      co_return;
    };
    co_await with_task_group(body);
  };
  run(opener());
  EXPECT_THAT(caught.texts(), ElementsAre(HasSubstr("task \"child\"")));
}

TEST(deadlock, of_a_group_whose_opener_comes_last_throws_in_the_child_that_waits) {
  const recorded_detection detection(looking_often);
  mutex m;
  caught_deadlocks caught;
  event child_waits;
  auto child = [&]() -> task<> {
    child_waits.set(); // and runs on to the lock before anybody else does
    try {
      co_await m.async_lock();
      m.unlock();
    } catch (const deadlock& e) {
      caught.add(e);
    }
  };
  auto opener = [&]() -> task<> {
    m.lock();
    m.unlock(); // so that the circle is believed at once
    const auto guard = co_await m.async_scoped_lock();
    auto body = [&](task_group& group) -> task<> {
      group.spawn(child(), "child");
      co_await child_waits.async_wait();
    };
    co_await with_task_group(body);
  };
  run(opener());
  EXPECT_THAT(caught.texts(), ElementsAre(HasSubstr("task \"child\"")));
}

TEST(deadlock, of_three_tasks_on_three_locks_names_all) {
  const recorded_detection detection(looking_often);
  std::array<mutex, 3> forks;
  std::array<event, 3> has_one;
  caught_deadlocks caught;
  auto dine = [&](std::size_t seat) -> task<> {
    try {
      const auto left = co_await forks.at(seat).async_scoped_lock();
      has_one.at(seat).set();
      for (event& others : has_one)
        co_await others.async_wait();
      const auto right = co_await forks.at((seat + 1) % 3).async_scoped_lock();
    } catch (const deadlock& e) {
      caught.add(e);
    }
  };
  auto body = [&](task_group& group) -> task<> {
    group.spawn(dine(0), "Plato");
    group.spawn(dine(1), "Hume");
    group.spawn(dine(2), "Kant");
    co_return;
  };
  run(with_task_group(body));
  EXPECT_THAT(caught.texts(), ElementsAre(AllOf(HasSubstr("3 parties"), HasSubstr("Plato"), HasSubstr("Hume"),
                                                HasSubstr("Kant"))));
}

TEST(deadlock, is_reported_while_the_program_hangs_when_asked_for_reports_only) {
  cancellation_source rescue;
  std::vector<std::string> reports;
  mutex m;
  {
    const auto keep = [&](std::string_view text) {
      reports.emplace_back(text);
      rescue.request_cancellation();
    };
    const deadlock_detection detection({.action = on_deadlock::report, .handler = keep, .look_every = 10ms});
    const std::scoped_lock guard(m);
    EXPECT_THROW(m.lock(rescue.token()), cancelled);
  }
  EXPECT_THAT(reports, ElementsAre(HasSubstr("one party waits for itself")));
}

TEST(deadlock_death_test, aborts_with_the_report_when_asked_to) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto lock_twice = [] {
    const deadlock_detection detection({.action = on_deadlock::abort});
    mutex m;
    m.lock();
    m.lock();
  };
  EXPECT_DEATH(lock_twice(), "fourfold: deadlock: one party waits for itself");
}

TEST(deadlock_death_test, is_found_by_the_environment_alone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe"); // the child begins anew, with the variable
  ::setenv("FOURFOLD_DEADLOCKS", "abort", 1);
  const auto lock_twice = [] {
    mutex m;
    m.lock();
    m.lock();
  };
  EXPECT_DEATH(lock_twice(), "fourfold: deadlock: one party waits for itself");
  ::unsetenv("FOURFOLD_DEADLOCKS");
}

TEST(deadlock_detection, knows_nothing_of_what_was_before_it) {
  mutex m;
  m.lock();
  const recorded_detection detection(looking_often);
  EXPECT_THROW(m.lock(std::chrono::milliseconds(1)), timed_out);
  m.unlock();
  m.lock();
  m.unlock();
  detection.expect_nothing();
}

TEST(deadlock_detection, gives_the_place_back_to_the_one_before) {
  const recorded_detection outer(looking_often);
  {
    const recorded_detection inner;
  }
  mutex m;
  const std::scoped_lock guard(m);
  EXPECT_THROW(m.lock(), deadlock);
  EXPECT_EQ(outer.found().deadlocks, 1U);
}

} // namespace
} // namespace fourfold
