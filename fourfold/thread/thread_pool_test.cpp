#include <fourfold/base/cpu_count.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <limits>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using fourfold::event;
using fourfold::future;
using fourfold::thread_pool;

int add(int a, int b) { return a + b; }

struct counter {
  int value = 0;
  int increase(int by) { return value += by; }
};

std::string this_thread_name() {
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof name);
  return name;
}

TEST(thread_pool, gives_the_result_of_a_function) {
  thread_pool pool({.threads = 2});
  EXPECT_EQ(pool.submit(add, 1, 2).get(), 3);
}

TEST(thread_pool, has_as_many_threads_as_cpus_unless_told) {
  EXPECT_EQ(thread_pool().size(), fourfold::cpu_count());
  EXPECT_EQ(thread_pool({.threads = 3}).size(), 3U);
}

TEST(thread_pool, runs_jobs_on_other_threads_and_several_at_once) {
  thread_pool pool({.threads = 2});
  event first, second;
  auto a = pool.submit([&] {
    first.set();
    second.wait();
    return std::this_thread::get_id();
  });
  auto b = pool.submit([&] {
    second.set();
    first.wait();
    return std::this_thread::get_id();
  });
  const auto thread_a = a.get(), thread_b = b.get();
  EXPECT_NE(thread_a, thread_b);
  EXPECT_NE(thread_a, std::this_thread::get_id());
}

TEST(thread_pool, carries_an_exception_to_who_takes_the_result) {
  thread_pool pool({.threads = 1});
  auto failing = pool.submit([]() -> int { throw std::out_of_range("no such page"); });
  try {
    failing.get();
    FAIL();
  } catch (const std::out_of_range& e) {
    EXPECT_STREQ(e.what(), "no such page");
  }
  EXPECT_EQ(pool.submit(add, 1, 1).get(), 2) << "the pool goes on";
}

TEST(thread_pool, takes_and_gives_types_that_only_move) {
  thread_pool pool({.threads = 1});
  auto boxed = std::make_unique<int>(7);
  auto result =
      pool.submit([](std::unique_ptr<int> n) { return std::make_unique<int>(*n + 1); }, std::move(boxed));
  EXPECT_EQ(*result.get(), 8);
  auto owner = [box = std::make_unique<int>(3)] { return *box; };
  EXPECT_EQ(pool.submit(std::move(owner)).get(), 3);
}

TEST(thread_pool, copies_arguments_unless_they_are_references_on_purpose) {
  thread_pool pool({.threads = 1});
  int x = 1;
  pool.submit([](int n) { return ++n; }, x).get();
  EXPECT_EQ(x, 1);
  pool.submit([](int& n) { ++n; }, std::ref(x)).get();
  EXPECT_EQ(x, 2);
}

TEST(thread_pool, gives_a_reference_when_the_function_does) {
  thread_pool pool({.threads = 1});
  int x = 1;
  future<int&> reference = pool.submit([](int& n) -> int& { return n; }, std::ref(x));
  EXPECT_EQ(&reference.get(), &x);
}

TEST(thread_pool, calls_members_as_invoke_does) {
  thread_pool pool({.threads = 1});
  counter c;
  EXPECT_EQ(pool.submit(&counter::increase, &c, 5).get(), 5);
  EXPECT_EQ(pool.submit(&counter::value, std::ref(c)).get(), 5);
}

TEST(thread_pool, destroys_function_and_arguments_before_the_future_is_ready) {
  thread_pool pool({.threads = 1});
  auto argument = std::make_shared<int>(1);
  auto done = pool.submit([](const std::shared_ptr<int>&) {}, argument);
  done.wait();
  EXPECT_EQ(argument.use_count(), 1);
}

TEST(thread_pool, lets_a_dropped_future_go_and_runs_the_call) {
  std::atomic<int> ran = 0;
  {
    thread_pool pool({.threads = 1});
    static_cast<void>(pool.submit([&] { ++ran; }));
  }
  EXPECT_EQ(ran, 1);
}

TEST(thread_pool, with_one_thread_keeps_the_order_of_submission) {
  thread_pool pool({.threads = 1});
  std::vector<int> order;
  std::vector<future<void>> all;
  for (int i = 0; i < 1000; ++i)
    all.push_back(pool.submit([&order, i] { order.push_back(i); }));
  for (auto& one : all)
    one.get();
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

// A job that submits itself for as long as the other has not run.
void poll(thread_pool& pool, const std::atomic<bool>& done, event& finished) {
  if (done) {
    finished.set();
  } else {
    static_cast<void>(pool.submit(poll, std::ref(pool), std::cref(done), std::ref(finished)));
  }
}

TEST(thread_pool, starves_nobody_when_jobs_submit_jobs_for_ever) {
  std::atomic<bool> done = false;
  event finished;
  thread_pool pool({.threads = 1});
  static_cast<void>(pool.submit(poll, std::ref(pool), std::cref(done), std::ref(finished)));
  static_cast<void>(pool.submit([&] {
    // From a job, too: queued below the poller that is submitted after it.
    static_cast<void>(pool.submit([&] { done = true; }));
    static_cast<void>(pool.submit(poll, std::ref(pool), std::cref(done), std::ref(finished)));
  }));
  finished.wait();
}

TEST(thread_pool, starves_nobody_whose_call_stands_with_a_thread_that_is_blocked) {
  std::atomic<bool> done = false;
  event finished;
  event waits_for_its_call;
  thread_pool pool({.threads = 1});
  auto blocked = pool.submit([&] {
    static_cast<void>(pool.submit([&] {
      done = true;
      waits_for_its_call.set();
    }));
    waits_for_its_call.wait();
  });
  // On the thread that stands in: for ever, unless that one call is run.
  static_cast<void>(pool.submit(poll, std::ref(pool), std::cref(done), std::ref(finished)));
  finished.wait();
  blocked.get();
}

struct submits_at_its_end {
  thread_pool* pool = nullptr;
  std::atomic<bool>* was_refused = nullptr;
  ~submits_at_its_end() {
    if (pool == nullptr)
      return;
    try {
      static_cast<void>(pool->submit([] {}));
    } catch (const fourfold::pool_closed&) {
      *was_refused = true;
    }
  }
};

TEST(thread_pool, refuses_what_is_submitted_while_a_thread_of_it_ends) {
  std::atomic<bool> was_refused = false;
  {
    thread_pool pool({.threads = 1});
    pool.submit([&] {
          thread_local submits_at_its_end last;
          last.pool = &pool;
          last.was_refused = &was_refused;
        })
        .get();
    pool.shutdown();
  }
  EXPECT_TRUE(was_refused);
}

TEST(thread_pool, takes_any_number_for_no_limit_of_spare_threads) {
  thread_pool pool({.threads = 1, .max_spare_threads = std::numeric_limits<unsigned>::max() - 64});
  EXPECT_EQ(pool.submit([] { return 1; }).get(), 1);
}

TEST(thread_pool, names_its_threads_within_the_kernels_limit) {
  thread_pool pool({.threads = 1, .name = "fetch"});
  EXPECT_EQ(pool.submit(this_thread_name).get(), "fetch-0");
  thread_pool long_pool({.threads = 1, .name = "a-name-beyond-all-limits"});
  EXPECT_EQ(long_pool.submit(this_thread_name).get(), "a-name-beyond-0");
}

TEST(thread_pool, lets_idle_threads_steal_what_a_job_submitted) {
  thread_pool pool({.threads = 2});
  event stolen;
  std::atomic<std::thread::id> thief;
  const auto owner = pool.submit([&] {
                           static_cast<void>(pool.submit([&] {
                             thief = std::this_thread::get_id();
                             stolen.set();
                           }));
                           // Not a wait the pool knows of, so this thread is not replaced: the other one must
                           // come.
                           while (!stolen.is_set())
                             std::this_thread::yield();
                           return std::this_thread::get_id();
                         })
                         .get();
  EXPECT_NE(owner, thief.load());
  pool.shutdown();
  EXPECT_GE(pool.statistics().stolen, 1U);
  EXPECT_EQ(pool.statistics().spare_threads_started, 0U);
}

} // namespace
