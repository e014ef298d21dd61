#include <fourfold/base/errors.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/place/retry.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

const retry_policy at_once{.first_pause = 0ms};

/// Fails until it has been called so many times.
struct flaky {
  std::atomic<int>& calls;
  int good_from;
  int operator()(int n) const {
    if (++calls < good_from)
      throw std::runtime_error("not yet");
    return n;
  }
};

/// Dies in its worker the first time: the mark that it leaves is a file.
int crash_once(const std::string& mark) {
  const int file = ::open(mark.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  if (file >= 0)
    std::abort();
  return 42;
}

struct temporary_folder {
  temporary_folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fourfold-retry-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw std::system_error(errno, std::generic_category());
    path = pattern;
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

TEST(retry, tries_again_until_it_succeeds) {
  thread_pool pool({.threads = 1});
  std::atomic<int> calls = 0;
  EXPECT_EQ(run(retry(at_once, pool, flaky{calls, 3}, 7)), 7);
  EXPECT_EQ(calls, 3);
}

TEST(retry, throws_the_last_failure_when_the_attempts_are_used_up) {
  thread_pool pool({.threads = 1});
  std::atomic<int> calls = 0;
  EXPECT_THROW(run(retry(at_once, pool, flaky{calls, 100}, 7)), std::runtime_error);
  EXPECT_EQ(calls, 3);
}

TEST(retry, repeats_a_call_whose_worker_died) {
  const temporary_folder folder;
  process_pool pool({.workers = 1});
  retry_policy policy = at_once;
  policy.when = is_one_of<worker_died>;
  EXPECT_EQ(run(retry(policy, pool, crash_once, (folder.path / "mark").string())), 42);
}

TEST(retry, leaves_other_failures_alone) {
  thread_pool pool({.threads = 1});
  std::atomic<int> calls = 0;
  retry_policy policy = at_once;
  policy.when = is_one_of<worker_died, timed_out>;
  EXPECT_THROW(run(retry(policy, pool, flaky{calls, 2}, 7)), std::runtime_error);
  EXPECT_EQ(calls, 1);
}

TEST(retry, does_not_knock_at_a_closed_pool) {
  thread_pool pool({.threads = 1});
  pool.shutdown();
  EXPECT_THROW(run(retry({.attempts = 10, .first_pause = 1h}, pool, [] { return 1; })), pool_closed);
}

TEST(retry, runs_a_coroutine_function_here) {
  int calls = 0;
  const auto fetch = [&calls](int n) -> task<int> {
    co_await yield();
    if (++calls < 3)
      throw std::runtime_error("not yet");
    co_return n;
  };
  EXPECT_EQ(run(retry(at_once, fetch, 5)), 5);
  EXPECT_EQ(calls, 3);
}

TEST(retry, runs_a_coroutine_function_on_a_loop_as_a_place) {
  int calls = 0;
  const auto main = [&calls]() -> task<int> {
    const auto fetch = [&calls](int n) -> task<int> {
      co_await yield();
      if (++calls < 2)
        throw std::runtime_error("not yet");
      co_return n;
    };
    co_return co_await retry(at_once, loop::current(), fetch, 6);
  };
  EXPECT_EQ(run(main()), 6);
}

TEST(retry, is_cancelled_in_a_pause) {
  thread_pool pool({.threads = 1});
  std::atomic<int> calls = 0;
  const auto main = [&]() -> task<> {
    auto work = retry({.first_pause = 1h, .longest_pause = 1h, .jitter = 0}, pool, flaky{calls, 2}, 7);
    co_await timeout(20ms, std::move(work));
  };
  EXPECT_THROW(run(main()), timed_out);
  EXPECT_LE(calls, 1);
}

TEST(retry, makes_one_attempt_at_least) {
  thread_pool pool({.threads = 1});
  std::atomic<int> calls = 0;
  EXPECT_THROW(run(retry({.attempts = 0}, pool, flaky{calls, 9}, 7)), std::runtime_error);
  EXPECT_EQ(calls, 1);
}

TEST(retry_pauses, grow_up_to_their_limit) {
  retry_pauses pauses({.first_pause = 100ms, .growth = 2, .longest_pause = 500ms, .jitter = 0});
  EXPECT_EQ(pauses.next(), 100ms);
  EXPECT_EQ(pauses.next(), 200ms);
  EXPECT_EQ(pauses.next(), 400ms);
  EXPECT_EQ(pauses.next(), 500ms);
  EXPECT_EQ(pauses.next(), 500ms);
}

TEST(retry_pauses, follow_from_their_seed) {
  const auto first_ten = [](std::uint64_t seed) {
    retry_pauses pauses({.first_pause = 1s, .growth = 1, .jitter = 0.5, .seed = seed});
    std::vector<clock::duration> all;
    for (int i = 0; i < 10; ++i)
      all.push_back(pauses.next());
    return all;
  };
  EXPECT_EQ(first_ten(1), first_ten(1));
  EXPECT_NE(first_ten(1), first_ten(2));
  for (const auto pause : first_ten(3)) {
    EXPECT_GE(pause, 500ms);
    EXPECT_LE(pause, 1s);
  }
}

TEST(retry_pauses, of_a_policy_that_makes_no_sense_are_an_error) {
  EXPECT_THROW(retry_pauses({.first_pause = -1ms}), std::invalid_argument);
  EXPECT_THROW(retry_pauses({.growth = 0.5}), std::invalid_argument);
  EXPECT_THROW(retry_pauses({.jitter = 1.5}), std::invalid_argument);
}

} // namespace
} // namespace fourfold
