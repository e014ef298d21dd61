// How workers come to be: start methods, initialisers, pools inside of workers.

#include <fourfold/base/errors.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/process/process.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <barrier>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

int add(int a, int b) { return a + b; }
// By a static initialiser, so once a process that executes the program.
const std::chrono::steady_clock::time_point initialised_at = std::chrono::steady_clock::now();
std::int64_t when_initialised() { return initialised_at.time_since_epoch().count(); }
pid_t parent_of_me() { return ::getppid(); }

std::string loaded;
void load(const std::string& text, int times) {
  for (int i = 0; i < times; ++i)
    loaded += text;
}
task<> load_slowly(std::string text) {
  co_await sleep(1ms);
  loaded = text;
}
std::string what_is_loaded() { return loaded; }
void fail_to_load(const std::string& why) { throw std::runtime_error(why); }
void crash() { ::raise(SIGKILL); }

bool has_ended(pid_t pid) {
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0)
    return true;
  pollfd watched{.fd = pidfd, .events = POLLIN, .revents = 0};
  const bool ended = ::poll(&watched, 1, 20'000) == 1;
  ::close(pidfd);
  return ended;
}

TEST(process_pool_start, workers_by_fresh_execution_serve_like_others) {
  process_pool pool({.workers = 2, .start = start_method::fresh_execution});
  std::vector<future<int>> results;
  for (int i = 0; i < 50; ++i)
    results.push_back(pool.submit(add, i, 1));
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(results[static_cast<std::size_t>(i)].get(30s), i + 1);
  EXPECT_THROW(pool.submit(crash).get(30s), worker_died);
  EXPECT_EQ(pool.submit(add, 2, 3).get(30s), 5);
}

TEST(process_pool_start, static_initialisers_run_once_for_the_template_or_once_in_each_fresh_worker) {
  process_pool forked({.workers = 1});
  const auto in_template = forked.submit(when_initialised).get(30s);
  EXPECT_THROW(forked.submit(crash).get(30s), worker_died);
  EXPECT_EQ(forked.submit(when_initialised).get(30s), in_template) << "the next worker is a copy, too";
  process_pool fresh({.workers = 1, .start = start_method::fresh_execution});
  const auto first = fresh.submit(when_initialised).get(30s);
  EXPECT_THROW(fresh.submit(crash).get(30s), worker_died);
  const auto second = fresh.submit(when_initialised).get(30s);
  EXPECT_LT(in_template, first);
  EXPECT_LT(first, second);
}

TEST(process_pool_start, an_initialiser_has_run_in_each_worker_before_its_first_call) {
  for (const start_method start : {start_method::from_template, start_method::fresh_execution}) {
    process_pool pool({.workers = 2, .start = start, .initialiser = {load, "model ", 2}});
    for (int i = 0; i < 20; ++i)
      EXPECT_EQ(pool.submit(what_is_loaded).get(30s), "model model ");
    EXPECT_THROW(pool.submit(crash).get(30s), worker_died);
    for (int i = 0; i < 20; ++i)
      EXPECT_EQ(pool.submit(what_is_loaded).get(30s), "model model ") << "also in the one that came after";
  }
}

TEST(process_pool_start, an_initialiser_may_be_a_lambda_a_coroutine_or_have_large_arguments) {
  const std::string text(1'000'000, 'm');
  process_pool large({.workers = 1, .initialiser = {load, text, 1}});
  EXPECT_EQ(large.submit([] { return loaded.size(); }).get(30s), text.size());
  process_pool coroutine({.workers = 1, .initialiser = {load_slowly, "slowly"}});
  EXPECT_EQ(coroutine.submit(what_is_loaded).get(30s), "slowly");
  std::size_t captured = 3;
  process_pool lambda({.workers = 1, .initialiser = [captured] { loaded = std::string(captured, 'c'); }});
  EXPECT_EQ(lambda.submit(what_is_loaded).get(30s), "ccc");
}

TEST(process_pool_start, an_initialiser_that_fails_ends_the_pool_with_its_text_and_is_not_tried_for_ever) {
  process_pool pool({.workers = 2, .initialiser = {fail_to_load, "no such model"}});
  for (int i = 0; i < 3; ++i) {
    try {
      pool.submit(add, i, 1).get(30s);
      FAIL();
    } catch (const pool_closed& e) {
      const std::string text = e.what();
      EXPECT_NE(text.find("the initialiser failed: std::runtime_error: no such model"), std::string::npos)
          << text;
    }
  }
  EXPECT_EQ(pool.statistics().workers_replaced, 0U);
}

TEST(process_pool_start, an_initialiser_that_crashes_ends_the_pool_after_a_few_tries) {
  process_pool pool({.workers = 1, .initialiser = crash});
  EXPECT_THROW(pool.submit(add, 1, 1).get(30s), pool_closed);
  EXPECT_LE(pool.statistics().workers_replaced, 5U);
}

TEST(process_pool_start, pools_started_by_many_threads_at_once_share_a_template) {
  std::vector<pid_t> templates(4);
  std::barrier all_there(4);
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < templates.size(); ++t) {
    threads.emplace_back([&, t] {
      process_pool pool({.workers = 1});
      templates[t] = pool.submit(parent_of_me).get(60s);
      all_there.arrive_and_wait(); // so that none ends before the last has started
    });
  }
  threads.clear();
  EXPECT_GT(templates[0], 0);
  EXPECT_EQ(templates, (std::vector<pid_t>(templates.size(), templates[0])));
}

TEST(process_pool_start, the_death_of_the_shared_template_is_survived_by_every_pool) {
  process_pool one({.workers = 1});
  process_pool two({.workers = 1});
  const pid_t shared = one.submit(parent_of_me).get(30s);
  ASSERT_EQ(two.submit(parent_of_me).get(30s), shared);
  ASSERT_EQ(::kill(shared, SIGKILL), 0);
  // Each notices for itself; a call that runs into the death may fail with it.
  const auto next_template = [&](process_pool& pool) {
    for (;;) {
      try {
        const pid_t now = pool.submit(parent_of_me).get(30s);
        if (now != shared)
          return now;
      } catch (const worker_died&) { // it was in the worker that the template took along
      }
    }
  };
  const pid_t first = next_template(one);
  EXPECT_EQ(next_template(two), first);
}

TEST(process_pool_start, one_pools_end_leaves_the_workers_of_another_alone) {
  process_pool stays({.workers = 1});
  const pid_t worker = stays.submit([] { return ::getpid(); }).get(30s);
  {
    process_pool goes({.workers = 2});
    EXPECT_EQ(goes.submit(add, 1, 1).get(30s), 2);
  }
  EXPECT_EQ(stays.submit([] { return ::getpid(); }).get(30s), worker);
}

// Pools inside of workers (row P19).

int sum_in_a_nested_pool(int n) {
  process_pool inner({.workers = 2});
  std::vector<future<int>> parts;
  for (int i = 0; i < n; ++i)
    parts.push_back(inner.submit(add, i, i));
  int sum = 0;
  for (auto& part : parts)
    sum += part.get(30s);
  return sum;
}
int sum_in_nested_threads(int n) {
  thread_pool inner({.threads = 2});
  std::vector<future<int>> parts;
  for (int i = 0; i < n; ++i)
    parts.push_back(inner.submit(add, i, i));
  int sum = 0;
  for (auto& part : parts)
    sum += part.get(30s);
  return sum;
}
int status_of_a_nested_process(int status) {
  return process([](int s) { std::exit(s); }, status).join(30s).code;
}
int three_levels_down(int n) {
  process_pool inner({.workers = 1});
  return inner.submit(sum_in_a_nested_pool, n).get(60s);
}

TEST(nested_pools, work_inside_of_workers_of_both_kinds) {
  for (const start_method start : {start_method::from_template, start_method::fresh_execution}) {
    process_pool pool({.workers = 2, .start = start});
    auto processes = pool.submit(sum_in_a_nested_pool, 10);
    auto threads = pool.submit(sum_in_nested_threads, 10);
    EXPECT_EQ(processes.get(60s), 90);
    EXPECT_EQ(threads.get(60s), 90);
    EXPECT_EQ(pool.submit(status_of_a_nested_process, 5).get(60s), 5);
    EXPECT_EQ(pool.submit(three_levels_down, 10).get(60s), 90);
  }
}

// In a worker: a pool that outlives the call.
std::vector<pid_t> keep_a_nested_pool() {
  static process_pool* const kept = new process_pool({.workers = 2});
  std::vector<pid_t> pids{kept->submit(parent_of_me).get(30s)};
  while (kept->worker_pids().size() < 2) // a result may be there before the pool has heard of the worker
    std::this_thread::yield();
  for (const pid_t pid : kept->worker_pids())
    pids.push_back(pid);
  return pids;
}

TEST(nested_pools, end_when_their_worker_is_killed) {
  process_pool pool({.workers = 1});
  const std::vector<pid_t> inner = pool.submit(keep_a_nested_pool).get(60s);
  ASSERT_GE(inner.size(), 2U);
  EXPECT_THROW(pool.submit(crash).get(30s), worker_died);
  for (const pid_t pid : inner)
    EXPECT_TRUE(has_ended(pid)) << pid;
  EXPECT_EQ(pool.submit(add, 1, 1).get(30s), 2);
}

} // namespace
} // namespace fourfold
