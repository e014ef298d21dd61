// Futures of any place, waited for together: by threads and by coroutines.
#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/wait.hpp>
#include <fourfold/place/as_completed.hpp>
#include <fourfold/place/blocking_wait.hpp>
#include <fourfold/place/executor.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/sync/latch.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

int twice(int n) { return 2 * n; }
int fail(int n) { throw std::out_of_range(std::to_string(n)); }
int never_end(int n) {
  for (;;)
    ::pause();
  return n;
}
int after(event& go, int n) {
  go.wait(30s);
  return n;
}

std::vector<future<int>> submit_to(executor auto& place, int count) {
  std::vector<future<int>> calls;
  for (int i = 0; i < count; ++i)
    calls.push_back(place.submit(twice, i));
  return calls;
}

TEST(as_completed_futures, come_in_the_order_in_which_they_end) {
  thread_pool pool({.threads = 3});
  std::array<event, 3> go;
  std::vector<future<int>> calls;
  for (int i = 0; i < 3; ++i)
    calls.push_back(pool.submit(after, std::ref(go[static_cast<std::size_t>(i)]), i));
  std::vector<std::size_t> order;
  go[1].set();
  for (auto& [index, result] : as_completed(std::move(calls))) {
    EXPECT_EQ(result.get(), static_cast<int>(index));
    order.push_back(index);
    go[order.size() == 1 ? 2 : 0].set();
  }
  EXPECT_EQ(order, (std::vector<std::size_t>{1, 2, 0}));
}

TEST(as_completed_futures, all_come_from_threads_and_processes_mixed) {
  thread_pool threads({.threads = 2});
  process_pool processes({.workers = 2});
  auto calls = submit_to(threads, 100);
  for (auto& call : submit_to(processes, 100))
    calls.push_back(std::move(call));
  std::vector<int> seen(200);
  for (auto& [index, result] : as_completed(std::move(calls))) {
    EXPECT_EQ(result.get(), 2 * static_cast<int>(index % 100));
    ++seen[index];
  }
  EXPECT_EQ(seen, std::vector<int>(200, 1));
}

TEST(as_completed_futures, of_nothing_ends_at_once) {
  for ([[maybe_unused]] auto& one : as_completed(std::vector<future<int>>()))
    FAIL();
}

TEST(as_completed_futures, end_when_their_thread_pool_stops) {
  thread_pool pool({.threads = 2});
  latch begun(2);
  event go;
  // Not by go.wait(): the pool would put other threads in the place of these.
  const auto hold = [&] {
    begun.count_down();
    while (!go.is_set())
      std::this_thread::yield();
    return 0;
  };
  std::vector<future<int>> calls;
  calls.push_back(pool.submit(hold));
  calls.push_back(pool.submit(hold));
  begun.wait(30s);
  for (auto& call : submit_to(pool, 100))
    calls.push_back(std::move(call));
  int ended = 0;
  int were_cancelled = 0;
  {
    const std::jthread consumer([&] {
      for (auto& [index, result] : as_completed(std::move(calls))) {
        ++ended;
        if (is_cancelled(result.exception()) && ++were_cancelled == 1)
          go.set();
      }
    });
    pool.stop();
  }
  EXPECT_EQ(ended, 102);
  EXPECT_GE(were_cancelled, 100);
}

TEST(as_completed_futures, end_when_their_process_pool_stops) {
  process_pool pool({.workers = 2});
  std::vector<future<int>> calls;
  for (int i = 0; i < 100; ++i)
    calls.push_back(pool.submit(never_end, i));
  EXPECT_THROW(calls.front().wait(1ms), timed_out);
  event iterates;
  int ended = 0;
  {
    const std::jthread consumer([&] {
      auto all = as_completed(std::move(calls));
      iterates.set();
      while (auto one = all.next(30s)) {
        EXPECT_NE(one->result.exception(), nullptr);
        ++ended;
      }
    });
    iterates.wait(30s);
    pool.stop();
  }
  EXPECT_EQ(ended, 100);
}

TEST(as_completed_futures, end_for_a_coroutine_when_the_pool_stops) {
  process_pool pool({.workers = 1});
  std::vector<future<int>> calls;
  for (int i = 0; i < 20; ++i)
    calls.push_back(pool.submit(never_end, i));
  int ended = 0;
  event iterates;
  const std::jthread stopper([&] {
    iterates.wait(30s);
    pool.stop();
  });
  const auto main = [&]() -> task<> {
    auto all = as_completed(std::move(calls));
    iterates.set();
    while (auto one = co_await all.async_next()) {
      EXPECT_NE(one->result.exception(), nullptr);
      ++ended;
    }
  };
  run(main());
  EXPECT_EQ(ended, 20);
}

TEST(as_completed_futures, a_wait_that_reaches_its_limit_loses_none) {
  thread_pool pool({.threads = 1});
  event go;
  std::vector<future<int>> calls;
  calls.push_back(pool.submit(after, std::ref(go), 7));
  auto all = as_completed(std::move(calls));
  EXPECT_THROW(all.next(1ms), timed_out);
  const auto take = [&all]() -> task<> { static_cast<void>(co_await all.async_next()); };
  const auto main = [&take]() -> task<> { co_await timeout(1ms, take()); };
  EXPECT_THROW(run(main()), timed_out);
  EXPECT_EQ(all.remaining(), 1U);
  go.set();
  auto one = all.next(30s);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->result.get(), 7);
  EXPECT_FALSE(all.next());
}

TEST(as_completed_futures, that_are_left_alone_go_on) {
  thread_pool pool({.threads = 1});
  event go;
  std::atomic<int> ran = 0;
  {
    std::vector<future<int>> calls;
    for (int i = 0; i < 5; ++i) {
      calls.push_back(pool.submit([&] {
        go.wait(30s);
        return ++ran;
      }));
    }
    const auto all = as_completed(std::move(calls));
    EXPECT_EQ(all.remaining(), 5U);
  }
  go.set();
  pool.shutdown();
  EXPECT_EQ(ran, 5);
}

TEST(as_completed_futures, in_a_job_of_their_own_pool_do_not_deadlock) {
  thread_pool one({.threads = 1});
  const auto sum = [&one] {
    int total = 0;
    for (auto& [index, result] : as_completed(submit_to(one, 10)))
      total += result.get();
    return total;
  };
  EXPECT_EQ(one.submit(sum).get(30s), 90);
}

TEST(blocking_wait, returns_when_the_first_is_ready_and_leaves_all_valid) {
  thread_pool pool({.threads = 2});
  event go;
  std::vector<future<int>> calls;
  calls.push_back(pool.submit(after, std::ref(go), 1));
  calls.push_back(pool.submit(twice, 2));
  EXPECT_EQ(blocking_wait(calls, return_when::first_completed, 30s), (std::vector<std::size_t>{1}));
  EXPECT_THROW(blocking_wait(calls, return_when::all_completed, 1ms), timed_out);
  go.set();
  EXPECT_EQ(blocking_wait(calls), (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(calls[0].get(), 1);
  EXPECT_EQ(calls[1].get(), 4);
}

TEST(blocking_wait, returns_when_the_first_has_failed) {
  thread_pool threads({.threads = 1});
  process_pool processes({.workers = 1});
  event go;
  std::vector<future<int>> calls;
  calls.push_back(threads.submit(after, std::ref(go), 1));
  calls.push_back(processes.submit(twice, 1));
  calls.push_back(processes.submit(fail, 2));
  const auto ready = blocking_wait(calls, return_when::first_failed, 30s);
  EXPECT_EQ(ready.back(), 2U);
  EXPECT_FALSE(calls[0].ready());
  go.set();
  EXPECT_EQ(calls[0].get(30s), 1);
}

TEST(blocking_wait, ends_when_the_pool_stops) {
  process_pool pool({.workers = 1});
  std::vector<future<int>> calls;
  for (int i = 0; i < 10; ++i)
    calls.push_back(pool.submit(never_end, i));
  EXPECT_THROW(blocking_wait(calls, return_when::all_completed, 1ms), timed_out);
  const std::jthread stopper([&pool] { pool.stop(); });
  EXPECT_EQ(blocking_wait(calls, return_when::all_completed, 30s).size(), 10U);
}

TEST(blocking_gather, gives_the_results_in_order) {
  process_pool pool({.workers = 2});
  auto calls = submit_to(pool, 50);
  const std::vector<int> results = blocking_gather(calls, 30s);
  ASSERT_EQ(results.size(), 50U);
  EXPECT_EQ(results[49], 98);
}

TEST(blocking_gather, a_failure_cancels_the_others_and_is_thrown_when_all_have_ended) {
  thread_pool pool({.threads = 2});
  std::atomic<int> inside = 0;
  event begun;
  const auto until_told = [&] {
    ++inside;
    begun.set();
    while (!current_cancellation().cancellation_requested())
      std::this_thread::yield();
    return --inside;
  };
  std::vector<future<int>> calls;
  calls.push_back(pool.submit(until_told));
  begun.wait(30s);
  calls.push_back(pool.submit(fail, 1));
  EXPECT_THROW(blocking_gather(calls, 30s), std::out_of_range);
  EXPECT_EQ(inside, 0);
}

TEST(waiting_for_futures_of_pools, works_in_coroutines_with_wait_and_gather) {
  thread_pool threads({.threads = 2});
  process_pool processes({.workers = 1});
  const auto main = [&]() -> task<int> {
    auto calls = submit_to(threads, 10);
    for (auto& call : submit_to(processes, 10))
      calls.push_back(std::move(call));
    EXPECT_EQ((co_await wait(calls)).size(), 20U);
    int total = 0;
    for (const int n : co_await gather(std::move(calls)))
      total += n;
    co_return total;
  };
  EXPECT_EQ(run(main()), 180);
}

} // namespace
} // namespace fourfold
