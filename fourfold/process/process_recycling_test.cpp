// Workers that are recycled, and what a pool tells of its workers.

#include <fourfold/loop/sleep.hpp>
#include <fourfold/process/process_pool.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

pid_t my_pid() { return ::getpid(); }
int add(int a, int b) { return a + b; }

TEST(process_recycling, no_worker_runs_more_calls_than_it_may) {
  process_pool pool({.workers = 2, .max_calls_per_worker = 7});
  std::vector<future<pid_t>> results;
  for (int i = 0; i < 500; ++i)
    results.push_back(pool.submit(my_pid));
  std::map<pid_t, int> calls;
  for (auto& result : results)
    ++calls[result.get(60s)];
  for (const auto& [pid, count] : calls)
    EXPECT_LE(count, 7) << pid;
  EXPECT_GE(calls.size(), 500U / 7);
  pool.shutdown();
  const auto statistics = pool.statistics();
  EXPECT_EQ(statistics.finished, 500U);
  EXPECT_EQ(statistics.workers_replaced, 0U);
}

TEST(process_recycling, a_process_for_each_call) {
  process_pool pool({.workers = 2, .max_calls_per_worker = 1});
  std::set<pid_t> pids;
  for (int i = 0; i < 30; ++i)
    EXPECT_TRUE(pids.insert(pool.submit(my_pid).get(30s)).second);
}

TEST(process_recycling, coroutines_finish_on_the_old_worker_while_the_new_one_serves) {
  process_pool pool({.workers = 1, .max_calls_per_worker = 3});
  auto wait_long = [](int n) -> task<int> {
    co_await sleep(1h);
    co_return n;
  };
  std::vector<future<int>> waiting;
  // Many old workers at once, each with coroutines that do not end by themselves.
  for (int i = 0; i < 20; ++i)
    waiting.push_back(pool.submit(wait_long, i));
  EXPECT_EQ(pool.submit(add, 1, 2).get(30s), 3);
  for (auto& one : waiting)
    EXPECT_TRUE(one.cancel());
  for (auto& one : waiting)
    EXPECT_THROW(one.get(30s), cancelled);
  pool.shutdown();
  EXPECT_EQ(pool.statistics().cancelled + pool.statistics().finished, 21U);
}

TEST(process_recycling, under_load_with_deaths_loses_nothing_else) {
  process_pool pool({.workers = 2, .calls = {.retries = 100}, .max_calls_per_worker = 20});
  std::vector<future<int>> results;
  auto work = [](int n) {
    if (n % 97 == 0 && ::getpid() % 3 == 0)
      ::raise(SIGKILL);
    return n;
  };
  auto later = [](int n) -> task<int> {
    co_await sleep(100us);
    co_return n;
  };
  for (int i = 1; i <= 2000; ++i)
    results.push_back(i % 3 == 0 ? pool.submit(later, i) : pool.submit(work, i));
  for (int i = 1; i <= 2000; ++i)
    EXPECT_EQ(results[static_cast<std::size_t>(i) - 1].get(60s), i);
  pool.shutdown();
  const auto statistics = pool.statistics();
  EXPECT_EQ(statistics.submitted, statistics.finished);
  EXPECT_EQ(statistics.failed_by_death, 0U);
  EXPECT_GE(statistics.workers_recycled + statistics.workers_replaced, 2000U / 20 - 2);
}

std::size_t keep(std::size_t bytes) {
  static std::vector<std::string> kept;
  kept.emplace_back(bytes, 'k');
  return kept.size();
}

TEST(process_recycling, a_worker_that_has_grown_too_large_is_replaced) {
  // Resident from the start is what the program has, under a sanitizer much.
  const auto base = [] {
    process_pool pool({.workers = 1});
    pool.submit(my_pid).get(30s);
    while (pool.worker_pids().empty()) // a result may be there before the pool has heard of the worker
      std::this_thread::yield();
    return pool.worker_statistics().at(0).memory;
  }();
  ASSERT_GT(base, 0U);
  constexpr std::size_t piece = std::size_t{16} << 20;
  process_pool pool({.workers = 1, .max_memory_per_worker = base + 5 * piece});
  std::set<pid_t> pids;
  std::size_t most_kept = 0;
  for (int i = 0; i < 100 && pids.size() < 3; ++i) {
    most_kept = std::max(most_kept, pool.submit(keep, piece).get(30s));
    pids.insert(pool.submit(my_pid).get(30s));
  }
  EXPECT_EQ(pids.size(), 3U);
  EXPECT_GE(most_kept, 2U);
  pool.shutdown();
  EXPECT_GE(pool.statistics().workers_recycled, 1U);
  EXPECT_EQ(pool.statistics().workers_replaced, 0U);
}

TEST(process_recycling, the_old_worker_serves_until_the_new_one_is_there) {
  process_pool pool({.workers = 1, .max_calls_per_worker = 100});
  auto work = [] {
    ::usleep(1'000);
    return ::getpid();
  };
  const pid_t first = pool.submit(work).get(30s);
  for (int i = 1; i < 99; ++i)
    EXPECT_EQ(pool.submit(work).get(30s), first);
  // Its last call is still to come, and the other one is there.
  const auto end = clock::now() + 30s;
  while (pool.worker_pids().size() < 2 && clock::now() < end)
    std::this_thread::yield();
  EXPECT_EQ(pool.worker_pids().size(), 2U);
  EXPECT_EQ(pool.submit(work).get(30s), first);
  EXPECT_NE(pool.submit(work).get(30s), first);
}

TEST(process_pool_statistics, of_each_worker_tell_its_name_calls_time_and_memory) {
  process_pool pool({.workers = 2, .name = "crew"});
  auto work = [] {
    ::usleep(2'000);
    return ::getpid();
  };
  std::map<pid_t, std::uint64_t> calls;
  std::vector<future<pid_t>> results;
  for (int i = 0; i < 20; ++i)
    results.push_back(pool.submit(work));
  for (auto& result : results)
    ++calls[result.get(30s)];
  while (pool.worker_pids().size() < 2) // results may be there before the pool has heard of a worker
    std::this_thread::yield();
  const auto workers = pool.worker_statistics();
  ASSERT_EQ(workers.size(), 2U);
  std::uint64_t all = 0;
  clock::duration busy{};
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(workers[i].name, "crew-" + std::to_string(i));
    EXPECT_GT(workers[i].pid, 0);
    EXPECT_EQ(workers[i].calls, calls[workers[i].pid]);
    EXPECT_GT(workers[i].memory, 0U);
    EXPECT_EQ(workers[i].deaths, 0U);
    all += workers[i].calls;
    busy += workers[i].busy;
  }
  EXPECT_EQ(all, 20U);
  EXPECT_GE(busy, 40ms);
}

TEST(process_pool_statistics, of_a_worker_that_died_go_on_with_its_replacement) {
  process_pool pool({.workers = 1});
  const pid_t first = pool.submit(my_pid).get(30s);
  EXPECT_THROW(pool.submit([] { ::raise(SIGKILL); }).get(30s), worker_died);
  const pid_t second = pool.submit(my_pid).get(30s);
  const auto worker = pool.worker_statistics().at(0);
  EXPECT_EQ(worker.deaths, 1U);
  EXPECT_EQ(worker.calls, 2U);
  EXPECT_EQ(worker.pid, second);
  EXPECT_NE(first, second);
}

} // namespace
} // namespace fourfold
