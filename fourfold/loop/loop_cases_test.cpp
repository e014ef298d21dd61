#include <fourfold/base/errors.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<int> give_later(int n) {
  co_await yield();
  co_return n;
}

struct leftovers {
  event forever;
  int ended = 0;
};

task<> fail_in_clean_up(leftovers& l) {
  try {
    co_await l.forever.async_wait();
  } catch (const cancelled&) {
    ++l.ended;
    throw std::invalid_argument("while cleaning up");
  }
}

task<> sleep_an_hour(leftovers& l) {
  try {
    co_await sleep(1h);
  } catch (const cancelled&) {
    ++l.ended;
  }
}

TEST(loop, failure_of_a_task_left_at_the_end_does_not_replace_the_result) {
  leftovers l;
  auto body = [](leftovers& left) -> task<int> {
    spawn(fail_in_clean_up(left));
    co_await test::let_others_run();
    co_return 4;
  };
  EXPECT_EQ(run(body(l)), 4);
  EXPECT_EQ(l.ended, 1);
}

TEST(loop, whose_task_failed_ends_those_left_before_it_throws) {
  leftovers l;
  auto body = [](leftovers& left) -> task<> {
    spawn(sleep_an_hour(left));
    spawn(fail_in_clean_up(left));
    co_await test::let_others_run();
    throw std::out_of_range("main");
  };
  EXPECT_THROW(run(body(l)), std::out_of_range);
  EXPECT_EQ(l.ended, 2);
}

TEST(loop, task_left_at_the_end_whose_clean_up_takes_time_is_waited_for) {
  leftovers l;
  auto pause = []() -> task<> { co_await sleep(1ms); };
  auto clean_up_slowly = [](leftovers& left, auto& take_time) -> task<> {
    try {
      co_await left.forever.async_wait();
    } catch (const cancelled&) {
    }
    co_await shield(take_time());
    ++left.ended;
  };
  auto body = [](leftovers& left, auto& work, auto& take_time) -> task<> {
    spawn(work(left, take_time));
    co_await test::let_others_run();
  };
  run(body(l, clean_up_slowly, pause));
  EXPECT_EQ(l.ended, 1);
}

TEST(loop, task_that_is_spawned_while_those_left_are_ended_is_ended_too) {
  leftovers l;
  auto spawn_when_cancelled = [](leftovers& left) -> task<> {
    try {
      co_await left.forever.async_wait();
    } catch (const cancelled&) {
    }
    spawn(sleep_an_hour(left));
    co_await shield(test::let_others_run());
    spawn(sleep_an_hour(left));
  };
  auto body = [](leftovers& left, auto& work) -> task<> {
    spawn(work(left));
    co_await test::let_others_run();
  };
  run(body(l, spawn_when_cancelled));
  EXPECT_EQ(l.ended, 2);
}

TEST(loop, may_be_run_by_one_thread_after_another) {
  std::optional<loop> l;
  std::jthread([&] { l.emplace(); }).join();
  std::jthread([&] { EXPECT_EQ(l->run(give_later(1)), 1); }).join();
  EXPECT_EQ(l->run(give_later(2)), 2);
  std::jthread([&] {
    EXPECT_EQ(l->run(give_later(3)), 3);
    l.reset();
  }).join();
}

TEST(loop, two_on_one_thread_take_turns) {
  loop a;
  loop b;
  std::vector<int> order;
  a.post([&] {
    order.push_back(1);
    b.post([&] { order.push_back(2); });
  });
  a.run(test::let_others_run());
  EXPECT_EQ(order, std::vector{1});
  b.run(test::let_others_run());
  EXPECT_EQ(order, (std::vector{1, 2}));
  EXPECT_EQ(a.run(give_later(3)), 3);
}

TEST(loop, posted_function_is_destroyed_when_it_has_run_and_not_at_the_end_of_the_loop) {
  loop l;
  const auto captured = std::make_shared<int>(1);
  auto body = [](loop& own, const std::shared_ptr<int>& shared) -> task<> {
    own.post([shared] { EXPECT_EQ(shared.use_count(), 2); });
    co_await test::let_others_run();
    EXPECT_EQ(shared.use_count(), 1);
  };
  l.run(body(l, captured));
}

std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return std::distance(begin(all), end(all));
}

TEST(loop, leaves_no_descriptor_behind_whether_it_ran_or_not) {
  const auto before = open_descriptors();
  for (int i = 0; i < 50; ++i) {
    loop never_ran;
    loop l;
    l.post([] {});
    l.run(give_later(1));
  }
  EXPECT_EQ(open_descriptors(), before);
}

/// Lowers how many descriptors the process may have, for a scope.
class descriptor_limit {
 public:
  explicit descriptor_limit(rlim_t limit) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit lower = before_;
    lower.rlim_cur = limit;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &lower), 0);
  }
  ~descriptor_limit() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }
  descriptor_limit(const descriptor_limit&) = delete;
  descriptor_limit& operator=(const descriptor_limit&) = delete;

 private:
  rlimit before_{};
};

int lowest_free_descriptor() {
  const int fd = ::dup(STDERR_FILENO);
  EXPECT_EQ(::close(fd), 0);
  return fd;
}

TEST(loop, that_gets_no_descriptor_throws_and_one_that_gets_too_few_leaks_none) {
  // UndefinedBehaviorSanitizer needs a descriptor for its first look at a type.
  {
    const loop first;
  }
  EXPECT_EQ(std::system_error(EMFILE, std::generic_category()).code(), std::errc::too_many_files_open);
  const int lowest = lowest_free_descriptor();
  bool made = false;
  for (int allowed = 0; allowed < 8; ++allowed) {
    {
      const descriptor_limit limit(static_cast<rlim_t>(lowest + allowed));
      try {
        const loop l;
        made = true;
      } catch (const std::system_error& e) {
        EXPECT_EQ(e.code(), std::errc::too_many_files_open);
        EXPECT_FALSE(made) << "fewer were enough";
      }
      if (allowed == 0) {
        EXPECT_FALSE(made);
      }
    }
    EXPECT_EQ(lowest_free_descriptor(), lowest);
  }
  EXPECT_TRUE(made);
}

TEST(loop_submit, call_whose_caller_ran_out_of_patience_is_cancelled_and_cleans_up) {
  test::loop_thread l;
  leftovers left;
  auto f = l->submit(sleep_an_hour, std::ref(left));
  l->submit([] {}).get(); // behind the call: it has begun to sleep
  EXPECT_THROW(f.get(1ms), timed_out);
  EXPECT_TRUE(f.cancel());
  f.get();
  EXPECT_EQ(left.ended, 1);
}

TEST(loop_submit, coroutine_function_that_throws_before_it_is_a_coroutine_fails_its_call) {
  test::loop_thread l;
  auto refuse = [](int n) -> task<int> {
    if (n < 0)
      throw std::invalid_argument("negative");
    return give_later(n);
  };
  EXPECT_THROW(l->submit(refuse, -1).get(), std::invalid_argument);
  EXPECT_EQ(l->submit(refuse, 1).get(), 1);
}

} // namespace
} // namespace fourfold
