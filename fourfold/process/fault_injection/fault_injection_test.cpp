// A worker, or the program, is killed at every step of the protocol between them, one step a test. Every future gets a
// result, what was lost is counted, the pool goes on, and no process is left.

#include <fourfold/base/errors.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/process/detail/fault_point.hpp>
#include <fourfold/process/process_pool.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using detail::fault_step;

int add(int a, int b) { return a + b; }
std::string repeat(std::string text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i)
    all += text;
  return all;
}
int fail(int n) { throw std::out_of_range(std::to_string(n)); }
task<int> wait_a_little(int n) {
  co_await sleep(200us);
  co_return n;
}
task<int> wait_for_ever(int n) {
  co_await sleep(1h);
  co_return n;
}
int run_until_told(int n) {
  while (!current_cancellation().cancellation_requested())
    ::usleep(100);
  return n;
}
int never_end(int n) {
  for (;;)
    ::pause();
  return n;
}

/// The plan for this process and those that it starts: the first one that comes to the step dies.
class fault {
 public:
  fault(fault_step step, int skipped)
      : path_(::testing::TempDir() + "fourfold-fault-" + std::to_string(::getpid())) {
    ::close(::open(path_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    const std::string plan =
        std::to_string(static_cast<int>(step)) + " " + std::to_string(skipped) + " " + path_;
    ::setenv("FOURFOLD_FAULT", plan.c_str(), 1);
  }
  ~fault() {
    ::unsetenv("FOURFOLD_FAULT");
    ::unlink(path_.c_str());
  }
  fault(const fault&) = delete;
  fault& operator=(const fault&) = delete;
  [[nodiscard]] bool has_struck() const { return ::access(path_.c_str(), F_OK) != 0; }

 private:
  std::string path_;
};

struct outcome {
  int results = 0;
  int failures = 0; // of the calls' own
  int deaths = 0;
  int cancelled_ones = 0;
  int timed_out_ones = 0;
};

task<std::string> wait_and_repeat(std::string text, std::size_t times) {
  co_await sleep(2ms);
  co_return repeat(std::move(text), times);
}

/// Many large results at once, more than a ring holds: the worker has to wait for room.
void flood() {
  process_pool pool({.workers = 1});
  std::vector<future<std::string>> texts;
  for (int i = 0; i < 100; ++i)
    texts.push_back(pool.submit({.retries = 1}, wait_and_repeat, std::string(30'000, 'b'), std::size_t{2}));
  for (auto& one : texts)
    EXPECT_EQ(one.get(40s).size(), 60'000U);
}

/// Calls of every kind. Throws if one of them has no result within the limit.
outcome run_all_kinds() {
  process_pool pool(
      {.workers = 2, .coroutines_per_worker = 4, .spin_microseconds = 0, .max_calls_per_worker = 40});
  outcome all;
  std::vector<future<int>> numbers;
  std::vector<future<std::string>> texts;
  // Into a ring at once, and out of it again: no worker is there yet.
  numbers.push_back(pool.submit(wait_a_little, 0));
  static_cast<void>(numbers.back().cancel());
  for (int i = 0; i < 60; ++i) {
    numbers.push_back(pool.submit(add, i, i));
    if (i % 3 == 0)
      numbers.push_back(pool.submit(wait_a_little, i));
    if (i % 10 == 0)
      texts.push_back(pool.submit(repeat, std::string(100'000, 'a'), std::size_t{2}));
    if (i % 10 == 5)
      numbers.push_back(pool.submit(fail, i));
    if (i % 20 == 7)
      numbers.push_back(pool.submit({.soft_time_limit = 1ms, .time_limit = 20s}, run_until_told, i));
    if (i % 30 == 8)
      numbers.push_back(pool.submit({.time_limit = 5ms}, never_end, i));
    if (i % 20 == 9) {
      numbers.push_back(pool.submit(wait_for_ever, i));
      numbers.push_back(pool.submit({.soft_time_limit = 2ms}, wait_for_ever, i));
      static_cast<void>(numbers[numbers.size() - 2].cancel());
    }
    if (i % 15 == 4) {
      numbers.push_back(pool.submit(add, 1, 1));
      static_cast<void>(numbers.back().cancel());
    }
  }
  const auto count = [&](auto& one) {
    try {
      one.get(40s);
      ++all.results;
    } catch (const worker_died& e) {
      EXPECT_EQ(e.signal(), SIGKILL);
      ++all.deaths;
    } catch (const cancelled&) {
      ++all.cancelled_ones;
    } catch (const std::out_of_range&) {
      ++all.failures;
    } catch (const timed_out&) {
      if (!one.valid())
        ++all.timed_out_ones;
      else
        throw; // our own limit: the call hangs
    }
  };
  // Some that were told to stop may not have been begun: they never end by themselves.
  for (auto& one : numbers) {
    if (!one.ready())
      one.wait(40s);
    count(one);
  }
  for (auto& one : texts)
    count(one);
  EXPECT_EQ(pool.submit({.retries = 5}, add, 20, 22).get(40s), 42);
  pool.shutdown();
  const auto s = pool.statistics();
  EXPECT_EQ(s.submitted, s.finished + s.cancelled + s.timed_out + s.failed_by_death + s.refused);
  EXPECT_EQ(s.failed_by_death, static_cast<std::uint64_t>(all.deaths));
  EXPECT_EQ(s.refused, 0U);
  return all;
}

std::string name_of(const ::testing::TestParamInfo<int>& info) {
  return "step_" + std::to_string(info.param);
}
auto steps(fault_step first, fault_step end) {
  return ::testing::Range(static_cast<int>(first), static_cast<int>(end));
}

class killed_worker : public ::testing::TestWithParam<int> {};

TEST_P(killed_worker, costs_what_it_ran_and_every_future_resolves) {
  for (const int skipped : {0, 1, 5}) {
    const fault planned(static_cast<fault_step>(GetParam()), skipped);
    if (static_cast<fault_step>(GetParam()) == fault_step::worker_waits_for_room)
      flood();
    const outcome all = run_all_kinds();
    EXPECT_LE(all.deaths, 1 + 4 + 2 * 5)
        << "one function and four coroutines, and those beside a killed endless one";
    EXPECT_TRUE(skipped != 0 || planned.has_struck()) << "no process came to this step";
  }
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a process is left";
}
INSTANTIATE_TEST_SUITE_P(at, killed_worker, steps(detail::first_step_of_worker, detail::first_step_of_pool),
                         name_of);

class killed_program : public ::testing::TestWithParam<int> {};

TEST_P(killed_program, leaves_no_process) {
  // What it leaves behind becomes ours, so that we see its end.
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const fault planned(static_cast<fault_step>(GetParam()), 0);
  const pid_t program = ::fork();
  if (program == 0) {
    run_all_kinds();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(program, &status, 0), program);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "it did not come to this step";
  const auto end = clock::now() + 30s;
  while (::waitpid(-1, nullptr, WNOHANG) >= 0 && clock::now() < end)
    ::usleep(1'000);
  EXPECT_EQ(errno, ECHILD) << "a process is left";
}
INSTANTIATE_TEST_SUITE_P(at, killed_program, steps(detail::first_step_of_pool, fault_step::end), name_of);

} // namespace
} // namespace fourfold
