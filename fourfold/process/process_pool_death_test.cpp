// What happens when processes die: workers, the template, the program.

#include <fourfold/base/errors.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/process/process_pool.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

int add(int a, int b) { return a + b; }
void die_by(int signal) {
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}
void leave_with(int status) { std::exit(status); }
task<int> wait_long(int n) {
  co_await sleep(1h);
  co_return n;
}
pid_t parent_of_me() { return ::getppid(); }

/// Waits until a process, child or not, has ended; false after 20 s.
bool has_ended(pid_t pid) {
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0)
    return true;
  pollfd watched{.fd = pidfd, .events = POLLIN, .revents = 0};
  const bool ended = ::poll(&watched, 1, 20'000) == 1;
  ::close(pidfd);
  return ended;
}

TEST(process_pool_death, a_crash_fails_only_its_own_task) {
  process_pool pool({.workers = 2});
  std::vector<future<int>> before;
  for (int i = 0; i < 50; ++i)
    before.push_back(pool.submit(add, i, 1));
  future<void> crash = pool.submit(die_by, SIGSEGV);
  std::vector<future<int>> after;
  for (int i = 0; i < 50; ++i)
    after.push_back(pool.submit(add, i, 2));
  try {
    crash.get(30s);
    FAIL();
  } catch (const worker_died& e) {
    EXPECT_EQ(e.signal(), SIGSEGV);
    EXPECT_GT(e.pid(), 0);
    EXPECT_EQ(e.task_id(), 51U);
    EXPECT_NE(std::string(e.what()).find("SIGSEGV"), std::string::npos) << e.what();
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(before[static_cast<std::size_t>(i)].get(30s), i + 1);
    EXPECT_EQ(after[static_cast<std::size_t>(i)].get(30s), i + 2);
  }
  EXPECT_EQ(pool.statistics().failed_by_death, 1U);
}

TEST(process_pool_death, every_way_to_die_is_named) {
  process_pool pool({.workers = 1});
  for (const int signal : {SIGKILL, SIGABRT, SIGTERM, SIGFPE}) {
    try {
      pool.submit(die_by, signal).get(30s);
      FAIL();
    } catch (const worker_died& e) {
      EXPECT_EQ(e.signal(), signal);
    }
  }
  try {
    pool.submit(leave_with, 3).get(30s);
    FAIL();
  } catch (const worker_died& e) {
    EXPECT_EQ(e.signal(), 0);
    EXPECT_EQ(e.exit_code(), 3);
  }
  EXPECT_EQ(pool.submit(add, 2, 2).get(30s), 4);
  EXPECT_EQ(pool.statistics().workers_replaced, 5U);
}

TEST(process_pool_death, a_crash_fails_all_coroutines_on_that_worker_and_no_others) {
  process_pool pool({.workers = 1});
  std::vector<future<int>> waiting;
  for (int i = 0; i < 10; ++i)
    waiting.push_back(pool.submit(wait_long, i));
  auto barrier = pool.submit(add, 0, 0);
  barrier.get(30s); // calls begin in order, so all ten run
  future<void> crash = pool.submit(die_by, SIGKILL);
  EXPECT_THROW(crash.get(30s), worker_died);
  for (auto& one : waiting)
    EXPECT_THROW(one.get(30s), worker_died);
  EXPECT_EQ(pool.submit(add, 1, 1).get(30s), 2);
}

TEST(process_pool_death, killing_random_workers_loses_exactly_what_they_ran) {
  constexpr int calls = 10'000;
  constexpr int mark = 1'000'000;
  process_pool pool({.workers = 3});
  // Long enough in all that kills come in the middle, short enough for a test under a sanitizer.
  auto work = [](int n) {
    ::usleep(100);
    return n + mark;
  };
  std::vector<future<int>> results;
  for (int i = 0; i < calls; ++i)
    results.push_back(pool.submit(work, i));

  std::size_t kills = 0;
  std::jthread killer([&](const std::stop_token& over) {
    std::minstd_rand random(42);
    std::uint64_t finished_before = 0;
    while (!over.stop_requested()) {
      ::usleep(50'000);
      // On a slow machine workers would otherwise be killed before they can do anything.
      const std::uint64_t finished = pool.statistics().finished;
      if (finished == finished_before)
        continue;
      finished_before = finished;
      const auto pids = pool.worker_pids();
      if (!pids.empty() && ::kill(pids[random() % pids.size()], SIGKILL) == 0)
        ++kills;
    }
  });
  int finished = 0;
  std::size_t died = 0;
  for (int i = 0; i < calls; ++i) {
    try {
      ASSERT_EQ(results[static_cast<std::size_t>(i)].get(60s), i + mark);
      ++finished;
    } catch (const worker_died& e) {
      EXPECT_EQ(e.signal(), SIGKILL);
      EXPECT_EQ(e.task_id(), static_cast<std::uint64_t>(i) + 1);
      ++died;
    }
  }
  killer.request_stop();
  killer.join();
  EXPECT_EQ(finished + static_cast<int>(died), calls);
  EXPECT_GT(kills, 0U);
  EXPECT_LE(died,
            kills); // one function at a time: a kill costs one call, or none if the worker was between two
  const auto statistics = pool.statistics();
  EXPECT_EQ(statistics.failed_by_death, died);
  EXPECT_EQ(statistics.finished, static_cast<std::uint64_t>(finished));
  EXPECT_EQ(pool.submit(add, 1, 2).get(30s), 3);
}

TEST(process_pool_death, the_death_of_the_template_costs_what_ran_and_the_pool_goes_on) {
  process_pool pool({.workers = 1}); // so that the call below says that the one before it has begun
  const pid_t first_template = pool.submit(parent_of_me).get(30s);
  ASSERT_NE(first_template, ::getpid());
  future<int> running = pool.submit(wait_long, 1);
  EXPECT_EQ(pool.submit(add, 1, 1).get(30s), 2);
  ASSERT_EQ(::kill(first_template, SIGKILL), 0);
  EXPECT_THROW(running.get(30s), worker_died);
  EXPECT_EQ(pool.submit(add, 2, 3).get(30s), 5);
  EXPECT_NE(pool.submit(parent_of_me).get(30s), first_template);
}

TEST(process_pool_death, killing_the_template_again_and_again_under_load_resolves_every_future) {
  process_pool pool({.workers = 2});
  std::vector<future<pid_t>> results;
  int died = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 200; ++i)
      results.push_back(pool.submit(parent_of_me));
    pid_t killed = 0;
    for (auto& result : results) {
      try {
        const pid_t now = result.get(30s);
        if (killed == 0 && ::kill(now, SIGKILL) == 0)
          killed = now;
      } catch (const worker_died&) {
        ++died;
      }
    }
    results.clear();
  }
  EXPECT_LE(died, 20 * 2);
}

TEST(process_pool_death, a_pool_that_ends_leaves_no_process_and_no_zombie) {
  std::vector<pid_t> pids;
  {
    process_pool pool({.workers = 3});
    for (int i = 0; i < 20; ++i)
      pool.submit(add, i, i);
    pids = {pool.submit(parent_of_me).get(30s)};
    for (const pid_t pid : pool.worker_pids())
      pids.push_back(pid);
  }
  // Reaped, not only dead: the numbers name nobody.
  for (const pid_t pid : pids)
    EXPECT_EQ(::kill(pid, 0), -1) << pid;
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST(process_pool_death, no_descriptor_is_left_when_workers_are_replaced) {
  const auto open_descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator());
  };
  const auto before = open_descriptors();
  {
    process_pool pool({.workers = 2});
    EXPECT_THROW(pool.submit(die_by, SIGKILL).get(30s), worker_died);
    EXPECT_EQ(pool.submit(add, 1, 1).get(30s), 2);
    const auto first = open_descriptors();
    for (int i = 0; i < 20; ++i)
      EXPECT_THROW(pool.submit(die_by, SIGKILL).get(30s), worker_died);
    EXPECT_EQ(pool.submit(add, 1, 1).get(30s), 2);
    EXPECT_LE(open_descriptors(), first + 4); // a replacement may be on its way
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(process_pool_death, workers_and_template_end_when_the_program_is_killed) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  const pid_t program = ::fork();
  if (program == 0) {
    // A program of its own, which makes a pool, reports the processes, and is then killed in the middle of
    // its work.
    process_pool pool({.workers = 2});
    std::vector<pid_t> pids{pool.submit(parent_of_me).get(30s)};
    while (pool.worker_pids().size() < 2) // a result may be there before the pool has heard of a worker
      std::this_thread::yield();
    for (const pid_t pid : pool.worker_pids())
      pids.push_back(pid);
    pool.submit([] {
      for (;;)
        ::pause();
    });
    pids.resize(3);
    static_cast<void>(!::write(pipe[1], pids.data(), pids.size() * sizeof(pid_t)));
    for (;;)
      ::pause();
  }
  std::array<pid_t, 3> pids{};
  ASSERT_EQ(::read(pipe[0], pids.data(), sizeof pids), static_cast<ssize_t>(sizeof pids));
  ASSERT_EQ(::kill(program, SIGKILL), 0);
  ASSERT_EQ(::waitpid(program, nullptr, 0), program);
  for (const pid_t pid : pids) {
    if (pid <= 0)
      continue;
    EXPECT_TRUE(has_ended(pid)) << pid;
  }
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST(process_pool_death, ctrl_c_does_not_kill_workers_the_program_decides) {
  process_pool pool({.workers = 1});
  auto interrupt_me = [] {
    ::raise(SIGINT);
    return 9;
  };
  EXPECT_EQ(pool.submit(interrupt_me).get(30s), 9);
}

/// Writes garbage over everything a worker shares with its pool, from inside of a call.
void scribble(unsigned seed) {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  std::minstd_rand random(seed);
  while (std::getline(maps, line)) {
    if (line.find("memfd:fourfold-worker") == std::string::npos)
      continue;
    const auto begin = std::stoull(line, nullptr, 16);
    const auto end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
    for (auto at = begin; at + 4 <= end; at += 4) {
      *reinterpret_cast<volatile std::uint32_t*>(at) = static_cast<std::uint32_t>(random());
    }
  }
}

void clear_shared_memory() {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    if (line.find("memfd:fourfold-worker") == std::string::npos)
      continue;
    const auto begin = std::stoull(line, nullptr, 16);
    const auto end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
    std::memset(reinterpret_cast<void*>(begin), 0, end - begin);
  }
  ::raise(SIGKILL);
}

TEST(process_pool_death, a_call_that_kills_every_worker_and_hides_its_traces_is_not_repeated_for_ever) {
  process_pool pool({.workers = 1});
  EXPECT_THROW(pool.submit(clear_shared_memory).get(30s), worker_died);
  EXPECT_EQ(pool.submit(add, 1, 1).get(30s), 2);
}

/// Tries to cut off every shared memory that the worker has; how often that succeeded.
int truncate_shared_memory() {
  int cut = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.find("memfd:fourfold") == std::string::npos)
      continue;
    cut += ::ftruncate(std::stoi(entry.path().filename().string()), 0) == 0 ? 1 : 0;
  }
  return cut;
}

TEST(process_pool_death, a_worker_cannot_cut_off_the_memory_that_it_shares_with_the_program) {
  process_pool pool({.workers = 1});
  EXPECT_EQ(pool.submit(truncate_shared_memory).get(30s), 0);
  EXPECT_EQ(pool.submit(add, 1, 1).get(30s), 2);
}

TEST(process_pool_death, the_program_survives_a_worker_that_scribbles_over_its_shared_memory) {
  process_pool pool({.workers = 1});
  for (unsigned seed = 1; seed <= 20; ++seed) {
    EXPECT_THROW(pool.submit(scribble, seed).get(30s), worker_died);
    EXPECT_EQ(pool.submit(add, 1, 1).get(30s), 2);
  }
}

} // namespace
} // namespace fourfold
