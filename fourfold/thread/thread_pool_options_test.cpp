#include <fourfold/base/lost_error.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/thread/this_thread.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fourfold::event;
using fourfold::future;
using fourfold::priority;
using fourfold::thread_pool;

TEST(thread_pool_priority, runs_the_most_urgent_call_that_waits_first_come_first_served) {
  thread_pool pool({.threads = 1, .max_spare_threads = 0});
  event started, release;
  auto blocker = pool.submit([&] {
    started.set();
    release.wait();
  });
  started.wait(30s);
  std::vector<int> order;
  std::vector<future<void>> all;
  const auto note = [&](priority urgency, int what) {
    all.push_back(pool.submit({.priority = urgency}, [&order, what] { order.push_back(what); }));
  };
  note(priority::low, 5);
  note(priority::normal, 3);
  note(priority::high, 1);
  note(priority::low, 6);
  note(priority::normal, 4);
  note(priority::high, 2);
  release.set();
  for (auto& one : all)
    one.get(30s);
  EXPECT_EQ(order, (std::vector{1, 2, 3, 4, 5, 6}));
}

TEST(thread_pool_priority, counts_for_calls_of_jobs_too) {
  thread_pool pool({.threads = 1});
  std::vector<int> order;
  std::vector<future<void>> all;
  pool.submit([&] {
        for (const auto urgency : {priority::low, priority::normal, priority::high})
          all.push_back(pool.submit({.priority = urgency},
                                    [&order, urgency] { order.push_back(static_cast<int>(urgency)); }));
      })
      .get(30s);
  for (auto& one : all)
    one.get(30s);
  EXPECT_EQ(order, (std::vector{0, 1, 2}));
}

TEST(thread_pool_priority, resolves_every_call_when_the_pool_is_stopped_under_load) {
  for (int round = 0; round < 10; ++round) {
    thread_pool pool({.threads = 2});
    std::atomic<int> accepted = 0, ran = 0, cancelled = 0;
    std::vector<std::thread> producers;
    for (int p = 0; p < 2; ++p) {
      producers.emplace_back([&] {
        std::vector<future<void>> own;
        try {
          for (int i = 0;; ++i) {
            own.push_back(pool.submit({.priority = static_cast<priority>(i % 3)}, [&] { ++ran; }));
            ++accepted;
            if (i % 5 == 0)
              own.back().cancel();
          }
        } catch (const fourfold::pool_closed&) {
        }
        for (auto& one : own) {
          try {
            one.get(30s);
          } catch (const fourfold::cancelled&) {
            ++cancelled;
          }
        }
      });
    }
    while (ran < 100)
      std::this_thread::yield();
    pool.shutdown(round % 2 == 0 ? fourfold::pending::cancel : fourfold::pending::finish);
    for (auto& producer : producers)
      producer.join();
    EXPECT_EQ(accepted, ran + cancelled);
    const auto counted = pool.statistics();
    EXPECT_EQ(counted.submitted, static_cast<unsigned>(accepted));
    EXPECT_EQ(counted.finished, static_cast<unsigned>(ran));
  }
}

TEST(elastic_thread_pool, grows_while_calls_block_and_shrinks_when_idle) {
  thread_pool pool({.threads = 20, .spare_idle_time = 1ms, .elastic = true});
  std::atomic<int> here = 0;
  std::vector<future<void>> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(pool.submit([&] {
      ++here;
      while (here != 20) // in no way that the pool knows
        std::this_thread::sleep_for(1ms);
    }));
  }
  for (auto& one : all)
    one.get(30s);
  EXPECT_GE(pool.statistics().spare_threads_started, 19U);
  EXPECT_EQ(pool.submit([] { return 1; }).get(30s), 1);
}

TEST(thread_pool_initialise, is_called_on_each_thread_before_its_first_job) {
  static thread_local int prepared = 0;
  thread_pool pool({.threads = 2, .initialise = [] { ++prepared; }});
  event set_later;
  auto waiting = pool.submit([&] {
    set_later.wait(30s);
    return prepared;
  });
  auto setting = pool.submit([&] {
    set_later.set();
    return prepared;
  });
  EXPECT_EQ(waiting.get(30s), 1);
  EXPECT_EQ(setting.get(30s), 1);
}

TEST(thread_pool_initialise, that_throws_is_the_failure_of_the_constructor) {
  std::atomic<int> calls = 0;
  const auto fail_second = [&calls] {
    if (++calls == 2)
      throw std::range_error("no licence");
  };
  EXPECT_THROW(thread_pool({.threads = 3, .initialise = fail_second}), std::range_error);
  EXPECT_EQ(calls, 3);
}

TEST(thread_pool_initialise, that_throws_on_a_stand_in_is_told_and_the_pool_goes_on) {
  static std::atomic<int> told = 0;
  const auto before =
      fourfold::set_lost_error_handler([](const std::exception_ptr&, std::string_view) noexcept { ++told; });
  {
    std::atomic<int> calls = 0;
    thread_pool pool({.threads = 1, .initialise = [&calls] {
                        if (++calls > 1)
                          throw std::range_error("no licence");
                      }});
    event release;
    auto blocked = pool.submit([&] { release.wait(30s); });
    auto queued = pool.submit([] { return 1; });
    while (told == 0)
      std::this_thread::yield();
    release.set();
    EXPECT_EQ(queued.get(30s), 1);
  }
  fourfold::set_lost_error_handler(before);
}

TEST(thread_pool_cpus, binds_threads_to_them_and_refuses_one_that_is_not_there) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  unsigned cpu = 0;
  while (!CPU_ISSET(cpu, &allowed))
    ++cpu;
  thread_pool pool({.cpus = {cpu}});
  EXPECT_EQ(pool.size(), 1U);
  EXPECT_EQ(pool.submit([] { return sched_getcpu(); }).get(30s), static_cast<int>(cpu));
  EXPECT_THROW(thread_pool({.cpus = {CPU_SETSIZE - 1}}), std::system_error);
}

TEST(thread_pool_thread_statistics, name_each_thread_and_add_up) {
  thread_pool pool({.threads = 2, .name = "sum"});
  for (int i = 0; i < 100; ++i)
    static_cast<void>(pool.submit([] {}));
  pool.shutdown();
  std::uint64_t finished = 0;
  const auto threads = pool.thread_statistics();
  ASSERT_EQ(threads.size(), 2U);
  for (const auto& one : threads) {
    finished += one.finished;
    EXPECT_GT(one.cpu_time, fourfold::clock::duration::zero());
  }
  EXPECT_EQ(threads[1].name, "sum-1");
  EXPECT_EQ(finished, 100U);
}

TEST(log_prefix, has_time_process_thread_and_name) {
  thread_pool pool({.threads = 1, .name = "fetch"});
  const std::string prefix = pool.submit(fourfold::log_prefix).get(30s);
  EXPECT_TRUE(std::regex_match(prefix, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z )" +
                                                  std::to_string(getpid()) + R"(/\d+ fetch-0)")))
      << prefix;
}

} // namespace
