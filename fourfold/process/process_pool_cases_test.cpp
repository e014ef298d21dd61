// Ways in which pools of processes hang, break or lose work elsewhere, one a test. More of them are in
// process_pool_death_test.cpp and process_exceptions_test.cpp; docs/what-happens-when.md lists all.

#include <fourfold/base/errors.hpp>
#include <fourfold/loop/as_completed.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/process/killed_child_test.hpp>
#include <fourfold/process/process_pool.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

int add(int a, int b) { return a + b; }
int add_slowly(int a, int b) {
  ::usleep(1'000);
  return a + b;
}
task<int> add_later(int a, int b) {
  co_await sleep(1ms);
  co_return a + b;
}

/// Grows until it is killed.
void eat_memory() {
  std::vector<std::string> eaten;
  for (;;) {
    eaten.emplace_back(std::size_t{1} << 20, 'e');
    if (eaten.size() == 16)
      ::raise(SIGKILL); // as the kernel does it: at an allocation, without a word
  }
}

TEST(process_pool_cases, a_worker_that_is_killed_while_it_allocates_costs_its_own_call) {
  process_pool pool({.workers = 2});
  std::vector<future<int>> others;
  for (int i = 0; i < 50; ++i)
    others.push_back(pool.submit(add, i, 1));
  try {
    pool.submit(eat_memory).get(30s);
    FAIL();
  } catch (const worker_died& e) {
    EXPECT_EQ(e.signal(), SIGKILL);
  }
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(others[static_cast<std::size_t>(i)].get(30s), i + 1);
}

TEST(process_pool_cases, pools_are_made_while_other_threads_allocate_and_hold_locks) {
  std::atomic<bool> over = false;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!over) { // malloc's locks and stdio's are taken at any moment
        const std::string text(static_cast<std::size_t>(std::rand()) % 5'000, 't');
        std::fflush(nullptr);
        static_cast<void>(text);
      }
    });
  }
  for (int round = 0; round < 5; ++round) {
    process_pool pool({.workers = 2});
    std::vector<future<std::string>> texts;
    for (int i = 0; i < 20; ++i)
      texts.push_back(
          pool.submit([](int n) { return std::string(static_cast<std::size_t>(n), 'x'); }, 100 * i));
    for (int i = 0; i < 20; ++i)
      EXPECT_EQ(texts[static_cast<std::size_t>(i)].get(30s).size(), static_cast<std::size_t>(100 * i));
    EXPECT_THROW(pool.submit([] { ::raise(SIGKILL); }).get(30s), worker_died);
    EXPECT_EQ(pool.submit(add, 1, round).get(30s), 1 + round);
  }
  over = true;
}

/// Runs `program` in a process of its own and gives its wait status, once it and all that it has started have ended; an
/// error of the test after 30 s.
template <class Program>
int run_as_program(Program program) {
  // What it leaves behind becomes ours, so that we see its end.
  EXPECT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    program();
    ::_exit(0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  const auto end = clock::now() + 30s;
  while (::waitpid(-1, nullptr, WNOHANG) >= 0 && clock::now() < end)
    ::usleep(1'000);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a process is left";
  return status;
}

TEST(process_pool_cases, ctrl_c_while_many_calls_are_awaited_ends_the_program_and_all_its_workers) {
  const int status = run_as_program([] {
    process_pool pool({.workers = 2});
    auto main = [&]() -> task<int> {
      std::vector<future<int>> many;
      for (int i = 0; i < 10'000; ++i)
        many.push_back(i % 2 == 0 ? pool.submit(add_slowly, i, 1) : pool.submit(add_later, i, 1));
      int sum = 0;
      for (std::size_t i = 0; i < many.size(); ++i) {
        sum += co_await many[i];
        if (i == 10)
          ::kill(::getpid(), SIGINT);
      }
      co_return sum;
    };
    try {
      run(main());
    } catch (const interrupted& e) {
      pool.stop();
      ::signal(e.signal(), SIG_DFL);
      ::raise(e.signal());
    }
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
}

TEST(process_pool_cases, ctrl_c_without_a_handler_ends_a_program_that_waits_for_a_call) {
  const int status = run_as_program([] {
    ::signal(SIGINT, SIG_DFL);
    process_pool pool({.workers = 2});
    future<void> endless = pool.submit([] {
      ::kill(::getppid(), 0);
      for (;;)
        ::pause();
    });
    pool.submit(add, 1, 1).get();
    std::jthread other([] { ::kill(::getpid(), SIGINT); });
    endless.get();
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
}

TEST(process_pool_cases, exit_and_exceptions_through_main_leave_no_process) {
  for (const int way : {0, 1, 2}) {
    const int status = run_as_program([way] {
      process_pool pool({.workers = 2});
      future<void> endless = pool.submit([] {
        for (;;)
          ::pause();
      });
      pool.submit(add_later, 1, 1).get();
      if (way == 0)
        std::_Exit(7);
      if (way == 1)
        std::abort();
      ::raise(SIGTERM);
    });
    EXPECT_TRUE(way != 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 7)) << status;
    EXPECT_TRUE(way != 1 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)) << status;
    EXPECT_TRUE(way != 2 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)) << status;
  }
}

task<int> result_of(future<int> result) { co_return co_await std::move(result); }

TEST(process_pool_cases, stopping_it_while_somebody_iterates_over_its_results_ends_the_iteration) {
  process_pool pool({.workers = 2});
  std::atomic<int> seen = 0;
  auto iterate = [&]() -> task<int> {
    std::vector<task<int>> many;
    for (int i = 0; i < 2'000; ++i)
      many.push_back(result_of(pool.submit(add_slowly, i, 1)));
    int failures = 0;
    auto each = [&](completions<int>& results) -> task<> {
      while (auto done = co_await results.next()) {
        try {
          static_cast<void>(done->get());
          ++seen;
        } catch (const error&) {
          ++failures;
        }
      }
    };
    co_await as_completed(std::move(many), each);
    co_return failures;
  };
  std::jthread stopper([&] {
    while (seen < 10)
      std::this_thread::yield();
    pool.stop();
  });
  const int failures = run(iterate());
  EXPECT_EQ(seen + failures, 2'000);
}

int sum_in_a_pool_of_its_own(int n) {
  process_pool pool({.workers = 2});
  std::vector<future<int>> parts;
  for (int i = 1; i <= n; ++i)
    parts.push_back(pool.submit(add, i, 0));
  int sum = 0;
  for (auto& part : parts)
    sum += part.get(30s);
  return sum;
}

TEST(process_pool_cases, pools_in_workers_of_pools_work) {
  process_pool pool({.workers = 2});
  future<int> first = pool.submit(sum_in_a_pool_of_its_own, 100);
  future<int> second = pool.submit(sum_in_a_pool_of_its_own, 10);
  EXPECT_EQ(first.get(60s), 5050);
  EXPECT_EQ(second.get(60s), 55);
}

TEST(process_pool_cases, a_worker_with_a_pool_of_its_own_that_is_killed_leaves_no_process) {
  const int status = run_as_program([] {
    process_pool pool({.workers = 1});
    auto die_with_a_pool = [] {
      process_pool inner({.workers = 2});
      inner.submit(add, 1, 1).get(30s);
      ::raise(SIGKILL);
    };
    try {
      pool.submit(die_with_a_pool).get(30s);
    } catch (const worker_died&) {
      ::_exit(pool.submit(add, 1, 2).get(30s));
    }
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 3) << status;
}

TEST(process_pool_cases, large_results_that_nobody_takes_do_not_keep_it_from_ending) {
  future<std::string> kept;
  {
    process_pool pool({.workers = 2});
    for (int i = 0; i < 40; ++i)
      kept = pool.submit([](std::size_t size) { return std::string(size, 'r'); }, std::size_t{1'000'000});
  }
  EXPECT_TRUE(kept.ready());
  EXPECT_EQ(kept.get().size(), 1'000'000U);
}

std::size_t size_of(const std::vector<char>& bytes) { return bytes.size(); }

/// Sends descriptors of its own into a socket that nobody reads, until the kernel lets this user have no more in flight.
class descriptors_in_flight {
 public:
  descriptors_in_flight() {
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_.data()) != 0)
      std::_Exit(2);
    char byte = 0;
    iovec part{.iov_base = &byte, .iov_len = 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), ends_.data(), sizeof(int));
    while (::sendmsg(ends_[0], &message, MSG_DONTWAIT) >= 0) {
    }
    refused_ = errno == ETOOMANYREFS;
  }
  ~descriptors_in_flight() {
    char byte = 0;
    while (::recv(ends_[1], &byte, 1, MSG_DONTWAIT) == 1) {
    }
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  descriptors_in_flight(const descriptors_in_flight&) = delete;
  descriptors_in_flight& operator=(const descriptors_in_flight&) = delete;
  [[nodiscard]] bool refused() const noexcept { return refused_; }

 private:
  std::array<int, 2> ends_{};
  bool refused_ = false;
};

TEST(process_pool_cases_death_test, calls_whose_descriptors_were_refused_for_a_while_are_run) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // The kernel sets root no such limit.
  const auto is_nobody_special = [] {
    return ::getuid() != 0 || (::setgid(65534) == 0 && ::setuid(65534) == 0);
  };
  if (test::forked_child([&] { ::_exit(is_nobody_special() ? 0 : 1); }).wait() != 0)
    GTEST_SKIP() << "this root may not become another user";
  const auto submit_while_refused = [&] {
    if (!is_nobody_special())
      std::_Exit(5);
    process_pool pool({.workers = 1});
    if (pool.submit(size_of, std::vector<char>(100'000)).get(30s) != 100'000)
      std::_Exit(3);
    rlimit few{};
    ::getrlimit(RLIMIT_NOFILE, &few);
    few.rlim_cur = 100;
    ::setrlimit(RLIMIT_NOFILE, &few);
    future<std::size_t> large;
    future<std::size_t> later;
    {
      const descriptors_in_flight too_many;
      if (!too_many.refused())
        std::_Exit(6);
      large = pool.submit(size_of, std::vector<char>(100'000));
      later = pool.submit(size_of, std::vector<char>(10));
      static_cast<void>(pool.statistics()); // nobody holds the pool's lock meanwhile
    }
    std::_Exit(large.get(30s) == 100'000 && later.get(30s) == 10 ? 0 : 4);
  };
  EXPECT_EXIT(submit_while_refused(), testing::ExitedWithCode(0), "");
}

} // namespace
} // namespace fourfold
