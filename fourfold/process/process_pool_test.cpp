#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/process/process_pool.hpp>

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <map>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

int add(int a, int b) { return a + b; }
std::string join(const std::string& a, std::string_view b) { return a + std::string(b); }
std::vector<double> doubled(std::vector<double> values) {
  for (double& v : values)
    v *= 2;
  return values;
}
pid_t my_pid() { return ::getpid(); }
void nothing() {}
__extension__ using wide = unsigned __int128;
wide wide_square(std::uint64_t n) { return static_cast<wide>(n) * n; }

struct pixel {
  int x = 0;
  int y = 0;
  std::string colour;
  std::optional<double> depth;
  bool operator==(const pixel&) const = default;
};
std::map<std::string, pixel> invert(const std::map<std::string, pixel>& image) {
  auto inverted = image;
  for (auto& [name, p] : inverted)
    p.x = -p.x;
  return inverted;
}

// Set by main() alone, if at all: workers never run main().
int static_initialised = 40 + 2;
int read_static() { return static_initialised; }

TEST(process_pool, runs_functions_and_lambdas_in_other_processes) {
  process_pool pool({.workers = 2});
  EXPECT_EQ(pool.size(), 2U);
  EXPECT_EQ(pool.submit(add, 1, 2).get(30s), 3);
  EXPECT_NE(pool.submit(my_pid).get(30s), ::getpid());
  EXPECT_EQ(pool.submit([](int n) { return n * n; }, 12).get(30s), 144);
  int offset = 100;
  EXPECT_EQ(pool.submit([offset](int n) { return n + offset; }, 5).get(30s), 105);
  pool.submit(nothing).get(30s);
  EXPECT_EQ(pool.submit(read_static).get(30s), 42);
}

TEST(process_pool, carries_strings_views_containers_aggregates_and_wide_integers) {
  process_pool pool({.workers = 1});
  EXPECT_EQ(pool.submit(join, "fourfold ", "travels").get(30s), "fourfold travels");
  const std::map<std::string, pixel> image{{"a", {1, 2, "red", 0.5}}, {"b", {3, 4, "blue", {}}}};
  const auto inverted = pool.submit(invert, image).get(30s);
  EXPECT_EQ(inverted.at("a"), (pixel{-1, 2, "red", 0.5}));
  EXPECT_EQ(inverted.at("b"), (pixel{-3, 4, "blue", {}}));
  const wide square = pool.submit(wide_square, std::uint64_t{1} << 40).get(30s);
  EXPECT_TRUE(square == static_cast<wide>(1) << 80);
}

TEST(process_pool, carries_arguments_and_results_larger_than_its_rings) {
  process_pool pool({.workers = 2});
  std::vector<double> large(4'000'000);
  std::iota(large.begin(), large.end(), 0.0);
  std::vector<future<std::vector<double>>> results;
  for (int i = 0; i < 6; ++i)
    results.push_back(pool.submit(doubled, large));
  for (auto& result : results) {
    const auto values = result.get(60s);
    ASSERT_EQ(values.size(), large.size());
    EXPECT_EQ(values.back(), 2 * large.back());
  }
}

TEST(process_pool, carries_many_results_of_every_size_around_the_ring_limits) {
  process_pool pool({.workers = 2});
  std::vector<future<std::string>> results;
  auto repeat = [](std::size_t n) { return std::string(n, 'r'); };
  for (std::size_t i = 0; i < 300; ++i)
    results.push_back(pool.submit(repeat, i * 397));
  for (std::size_t i = 0; i < 300; ++i)
    EXPECT_EQ(results[i].get(60s).size(), i * 397);
}

TEST(process_pool, results_that_nobody_collects_do_not_stop_the_workers) {
  process_pool pool({.workers = 1});
  auto produce = [](std::size_t n) { return std::string(n, 'p'); };
  for (int i = 0; i < 200; ++i)
    pool.submit(produce, std::size_t{20'000}); // far more than the ring holds
  EXPECT_EQ(pool.submit(add, 20, 22).get(60s), 42);
}

struct custom_failure {
  int code;
};
class named_failure : public std::runtime_error {
  using std::runtime_error::runtime_error;
};
int throw_kind(int kind) {
  switch (kind) {
  case 0: throw std::out_of_range("index 9");
  case 1: throw std::system_error(ENOENT, std::generic_category(), "open x");
  case 2: throw named_failure("a type of the program");
  case 3: throw custom_failure{7};
  case 4: throw std::bad_alloc();
  default: throw timed_out();
  }
}

TEST(process_pool, exceptions_of_known_types_arrive_as_themselves) {
  process_pool pool({.workers = 1});
  try {
    pool.submit(throw_kind, 0).get(30s);
    FAIL();
  } catch (const std::out_of_range& e) {
    EXPECT_STREQ(e.what(), "index 9");
  }
  try {
    pool.submit(throw_kind, 1).get(30s);
    FAIL();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::no_such_file_or_directory);
    EXPECT_STREQ(e.what(), std::system_error(ENOENT, std::generic_category(), "open x").what());
  }
  EXPECT_THROW(pool.submit(throw_kind, 4).get(30s), std::bad_alloc);
  EXPECT_THROW(pool.submit(throw_kind, 5).get(30s), timed_out);
}

TEST(process_pool, other_exceptions_arrive_with_their_types_name_and_text) {
  process_pool pool({.workers = 1});
  try {
    pool.submit(throw_kind, 2).get(30s);
    FAIL();
  } catch (const remote_error& e) {
    EXPECT_NE(e.type_name().find("named_failure"), std::string::npos) << e.type_name();
    EXPECT_EQ(e.message(), "a type of the program");
  }
  try {
    pool.submit(throw_kind, 3).get(30s);
    FAIL();
  } catch (const remote_error& e) {
    EXPECT_NE(e.type_name().find("custom_failure"), std::string::npos) << e.type_name();
  }
}

task<int> wait_and_double(int n) {
  co_await sleep(20ms);
  co_return 2 * n;
}
task<int> fail_later() {
  co_await sleep(1ms);
  throw std::invalid_argument("later");
}
task<pid_t> wait_for_ever() {
  co_await sleep(1h);
  co_return 0;
}

TEST(process_pool, a_coroutine_function_runs_on_a_workers_loop_many_at_once) {
  process_pool pool({.workers = 1});
  std::vector<future<int>> results;
  // One after the other these would take 20 s, more than the limit.
  for (int i = 0; i < 1000; ++i)
    results.push_back(pool.submit(wait_and_double, i));
  const auto deadline = clock::now() + 15s;
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(results[static_cast<std::size_t>(i)].get(deadline), 2 * i);
  EXPECT_THROW(pool.submit(fail_later).get(30s), std::invalid_argument);
}

TEST(process_pool, at_most_so_many_coroutines_run_at_once_in_each_worker) {
  process_pool pool({.workers = 1, .coroutines_per_worker = 3});
  auto high_water = []() -> task<int> {
    static int running = 0;
    ++running;
    for (int i = 0; i < 20; ++i)
      co_await yield();
    const int seen = running;
    co_await sleep(2ms);
    --running;
    co_return seen;
  };
  std::vector<future<int>> results;
  for (int i = 0; i < 30; ++i)
    results.push_back(pool.submit(high_water));
  int highest = 0;
  for (auto& result : results)
    highest = std::max(highest, result.get(30s));
  EXPECT_LE(highest, 3);
  EXPECT_GE(highest, 2);
}

TEST(process_pool, functions_and_coroutines_mix_on_one_worker) {
  process_pool pool({.workers = 1});
  std::vector<future<int>> results;
  for (int i = 0; i < 200; ++i) {
    results.push_back(i % 2 == 0 ? pool.submit(wait_and_double, i) : pool.submit(add, i, i));
  }
  for (int i = 0; i < 200; ++i)
    EXPECT_EQ(results[static_cast<std::size_t>(i)].get(30s), 2 * i);
}

TEST(process_pool, a_running_coroutine_can_be_cancelled) {
  process_pool pool({.workers = 1});
  future<pid_t> endless = pool.submit(wait_for_ever);
  EXPECT_EQ(pool.submit(add, 1, 1).get(30s), 2); // it is running by now
  EXPECT_TRUE(endless.cancel());
  EXPECT_THROW(endless.get(30s), cancelled);
}

TEST(process_pool, a_queued_call_can_be_cancelled_and_is_never_run) {
  process_pool pool({.workers = 1});
  auto block = [] { ::usleep(20'000); };
  future<void> first = pool.submit(block);
  future<pid_t> second = pool.submit(my_pid);
  EXPECT_TRUE(second.cancel());
  EXPECT_THROW(second.get(30s), cancelled);
  first.get(30s);
  EXPECT_EQ(pool.statistics().cancelled, 1U);
}

TEST(process_pool, cancelling_the_only_call_that_was_handed_out_lets_the_next_one_begin) {
  process_pool pool({.workers = 1});
  for (int round = 0; round < 200; ++round) {
    future<int> first = pool.submit(add, 1, 1);
    future<int> second = pool.submit(add, 2, 2);
    first.cancel();
    EXPECT_EQ(second.get(30s), 4);
  }
}

TEST(process_pool, calls_that_were_cancelled_in_the_ring_leave_their_room_to_later_ones) {
  process_pool pool({.workers = 1});
  for (int i = 0; i < 50; ++i)
    pool.submit(add, i, i).get(30s); // short calls, so that several are handed out ahead
  auto length = [](const std::string& text) { return text.size(); };
  for (int round = 0; round < 50; ++round) {
    future<void> running = pool.submit([] { ::usleep(1'000); });
    std::vector<future<std::size_t>> ahead;
    for (int i = 0; i < 4; ++i)
      ahead.push_back(pool.submit(length, std::string(65'000, 'x')));
    for (auto& one : ahead)
      one.cancel();
    EXPECT_EQ(pool.submit(length, std::string(65'000, 'y')).get(30s), 65'000U);
  }
}

TEST(process_pool, a_future_that_is_only_polled_becomes_ready) {
  process_pool pool({.workers = 1});
  future<int> polled = pool.submit(add, 1, 1);
  while (!polled.ready())
    std::this_thread::yield();
  EXPECT_EQ(polled.get(), 2);
}

TEST(process_pool, a_full_ring_of_results_does_not_swallow_the_bell_of_a_call) {
  process_pool pool({.workers = 1});
  auto produce = [](int n) -> task<std::string> {
    co_await sleep(std::chrono::microseconds(n));
    co_return std::string(60'000, 'p');
  };
  future<pid_t> long_one = pool.submit(wait_for_ever);
  std::vector<future<std::string>> results;
  for (int i = 0; i < 200; ++i) {
    results.push_back(pool.submit(produce, i * 10));
    if (i % 20 != 19)
      continue;
    EXPECT_EQ(pool.submit(add, i, 0).get(30s), i);
  }
  for (auto& result : results)
    EXPECT_EQ(result.get(30s).size(), 60'000U);
  long_one.cancel();
}

TEST(process_pool, no_coroutines_at_all_is_refused) {
  EXPECT_THROW(process_pool({.workers = 1, .coroutines_per_worker = 0}), std::invalid_argument);
}

TEST(process_pool, can_have_more_workers_than_a_socket_holds_answers) {
  process_pool pool({.workers = 300});
  EXPECT_EQ(pool.submit(add, 1, 1).get(60s), 2);
}

TEST(process_pool, is_awaited_from_a_loop) {
  auto main = []() -> task<long> {
    process_pool pool({.workers = 2});
    long sum = 0;
    for (int i = 0; i < 500; ++i)
      sum += co_await pool.submit(add, i, 1);
    auto one = [](process_pool& p, int n) -> task<int> { co_return co_await p.submit(wait_and_double, n); };
    std::vector<task<int>> many;
    for (int i = 0; i < 100; ++i)
      many.push_back(one(pool, i));
    for (const int n : co_await gather(std::move(many)))
      sum += n;
    co_return sum;
  };
  EXPECT_EQ(run(main()), 500 * 499 / 2 + 500 + 100 * 99);
}

TEST(process_pool, a_cancelled_await_cancels_the_coroutine_in_the_worker) {
  process_pool pool({.workers = 1});
  auto main = [](process_pool& p) -> task<bool> {
    auto endless = [](process_pool& q) -> task<> { co_await q.submit(wait_for_ever); };
    future<void> awaiting = spawn(endless(p));
    while (p.statistics().submitted == 0)
      co_await yield();
    co_await p.submit(my_pid); // to the one worker, which has begun what was submitted before
    awaiting.cancel();
    try {
      co_await std::move(awaiting);
    } catch (const cancelled&) {
      co_return true;
    }
    co_return false;
  };
  EXPECT_TRUE(run(main(pool)));
  pool.shutdown(); // would not end if the coroutine still ran
  EXPECT_EQ(pool.statistics().finished, 2U);
}

TEST(process_pool, many_threads_submit_and_wait_at_once) {
  process_pool pool({.workers = 2});
  std::atomic<long> sum = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i)
          sum += pool.submit(add, i, 0).get(60s);
      });
    }
  }
  EXPECT_EQ(sum, 4 * (500L * 499 / 2));
}

TEST(process_pool, a_wait_with_a_limit_ends_and_leaves_the_call_running) {
  process_pool pool({.workers = 1});
  future<int> slow = pool.submit([] {
    ::usleep(100'000);
    return 5;
  });
  EXPECT_THROW(slow.wait(1ms), timed_out);
  cancellation_source source;
  std::jthread canceller([&] { source.request_cancellation(); });
  EXPECT_THROW(slow.wait(source.token()), cancelled);
  EXPECT_EQ(slow.get(30s), 5);
}

TEST(process_pool, shutdown_gives_up_at_its_limit_and_can_be_followed_by_a_stop) {
  process_pool pool({.workers = 1});
  auto result = pool.submit([] { std::this_thread::sleep_for(60s); });
  EXPECT_THROW(pool.shutdown(10ms), timed_out);
  EXPECT_THROW(static_cast<void>(pool.submit([] {})), pool_closed);
  EXPECT_FALSE(result.ready());
  pool.stop();
  EXPECT_THROW(result.get(), error); // killed, or never begun
}

TEST(process_pool, shutdown_finishes_what_was_submitted_and_then_refuses) {
  process_pool pool({.workers = 2});
  std::vector<future<int>> results;
  for (int i = 0; i < 100; ++i)
    results.push_back(pool.submit(add, i, 1));
  pool.shutdown();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(results[static_cast<std::size_t>(i)].ready());
    EXPECT_EQ(results[static_cast<std::size_t>(i)].get(), i + 1);
  }
  EXPECT_THROW(pool.submit(add, 1, 1), pool_closed);
  pool.shutdown();
}

TEST(process_pool, stop_ends_at_once_and_every_future_resolves) {
  process_pool pool({.workers = 1});
  auto endless = [] {
    for (;;)
      ::pause();
  };
  future<void> running = pool.submit(endless);
  std::vector<future<int>> queued;
  for (int i = 0; i < 20; ++i)
    queued.push_back(pool.submit(add, 1, 1));
  while (pool.worker_pids().empty())
    std::this_thread::yield();
  pool.stop();
  EXPECT_THROW(running.get(30s), error);
  for (auto& one : queued)
    EXPECT_THROW(one.get(30s), pool_closed);
}

TEST(process_pool, two_pools_live_side_by_side) {
  process_pool first({.workers = 1});
  process_pool second({.workers = 1});
  EXPECT_NE(first.submit(my_pid).get(30s), second.submit(my_pid).get(30s));
}

TEST(process_pool, workers_have_names) {
  process_pool pool({.workers = 1, .name = "a-rather-long-name"});
  auto name = [] {
    std::array<char, 16> text{};
    ::prctl(PR_GET_NAME, text.data());
    return std::string(text.data());
  };
  EXPECT_EQ(pool.submit(name).get(30s), "a-rather-long-0");
}

} // namespace
} // namespace fourfold
