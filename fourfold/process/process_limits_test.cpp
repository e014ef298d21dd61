// What happens to pools when the system gives no processes, descriptors or memory, when workers are stopped, and when
// the program ends in one way or another.

#include <fourfold/base/errors.hpp>
#include <fourfold/base/sanitizers.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/process/process.hpp>
#include <fourfold/process/process_pool.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

int add(int a, int b) { return a + b; }
void sleep_for_ever() {
  for (;;)
    ::pause();
}

/// Runs `program` as a process of its own, a child of this test, and then waits until every process that it has
/// started has ended, too: they become this test's children. Gives its wait status.
int run_as_program(const std::function<void()>& program) {
  EXPECT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(100); // whatever happens, nothing is left
    program();
    ::_exit(0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  while (::waitpid(-1, nullptr, 0) > 0) { // hangs if a process is left: the test's own limit ends that
  }
  EXPECT_EQ(errno, ECHILD);
  return status;
}

/// In such a program: ends it with a status that names what went wrong.
void check(bool condition, int number) {
  if (!condition)
    ::_exit(number);
}

void lower(__rlimit_resource which, rlim_t value) {
  const rlimit limit{.rlim_cur = value, .rlim_max = value};
  check(::setrlimit(which, &limit) == 0, 99);
}

/// Each worker busy: one call for ever, others queued.
void occupy(process_pool& pool) {
  for (int i = 0; i < 4; ++i)
    pool.submit(sleep_for_ever);
  pool.submit(add, 1, 1);
}

TEST(program_with_a_pool, that_calls_exit_in_the_middle_of_work_leaves_no_process) {
  EXPECT_EQ(run_as_program([] {
              static process_pool pool({.workers = 2}); // not destroyed before exit() comes to it
              occupy(pool);
              ::_exit(3);
            }),
            3 << 8);
}

TEST(program_with_a_pool, that_returns_through_exit_leaves_no_process) {
  EXPECT_EQ(run_as_program([] {
              static auto* const pool = new process_pool({.workers = 2});
              occupy(*pool);
              std::exit(4);
            }),
            4 << 8);
}

TEST(program_with_a_pool, that_aborts_leaves_no_process) {
  const int status = run_as_program([] {
    ::signal(SIGABRT, SIG_DFL);
    lower(RLIMIT_CORE, 0);
    process_pool pool({.workers = 2});
    const process beside(sleep_for_ever);
    occupy(pool);
    std::abort();
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGABRT);
}

TEST(program_with_a_pool, that_an_exception_leaves_ends_at_once_and_leaves_no_process) {
  EXPECT_EQ(run_as_program([] {
              try {
                process_pool pool({.workers = 2});
                const process beside(sleep_for_ever);
                occupy(pool);
                throw std::runtime_error("through main");
              } catch (const std::runtime_error&) {
                ::_exit(5);
              }
            }),
            5 << 8);
}

TEST(program_with_a_pool, that_gets_sigterm_leaves_no_process) {
  const int status = run_as_program([] {
    process_pool pool({.workers = 2});
    occupy(pool);
    ::raise(SIGTERM);
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

task<> wait_for_a_worker(process_pool& pool) {
  auto never = pool.submit(sleep_for_ever);
  ::raise(SIGINT); // as at a terminal: cancels this
  co_await std::move(never);
}

TEST(program_with_a_pool, that_is_interrupted_ends_at_once_and_leaves_no_process) {
  EXPECT_EQ(run_as_program([] {
              ::signal(SIGINT, SIG_DFL);
              try {
                process_pool pool({.workers = 2});
                run(wait_for_a_worker(pool));
              } catch (const interrupted&) {
                ::_exit(6);
              }
            }),
            6 << 8);
}

// Workers that are stopped.

TEST(stopped_worker, does_not_keep_stop_from_ending) {
  process_pool pool({.workers = 2});
  future<void> running = pool.submit(sleep_for_ever);
  future<void> beside = pool.submit(sleep_for_ever);
  std::vector<pid_t> pids;
  while (pids.size() < 2)
    pids = pool.worker_pids();
  for (const pid_t pid : pids)
    ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  future<int> queued = pool.submit(add, 1, 1);
  pool.stop();
  EXPECT_THROW(running.get(30s), error); // `worker_died`, or `pool_closed` if it was stopped before it began
  EXPECT_THROW(beside.get(30s), error);
  EXPECT_THROW(queued.get(30s), pool_closed);
  for (const pid_t pid : pids)
    EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(stopped_worker, without_work_does_not_keep_the_destructor_from_ending) {
  pid_t pid = 0;
  {
    process_pool pool({.workers = 1});
    pid = pool.submit([] { return ::getpid(); }).get(30s);
    ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(stopped_worker, that_goes_on_finishes_its_calls) {
  process_pool pool({.workers = 1});
  const pid_t pid = pool.submit([] { return ::getpid(); }).get(30s);
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  future<int> waiting = pool.submit(add, 1, 1);
  EXPECT_THROW(waiting.get(10ms), timed_out);
  ASSERT_EQ(::kill(pid, SIGCONT), 0);
  EXPECT_EQ(waiting.get(30s), 2);
}

TEST(stopped_template, does_not_keep_a_pool_from_ending) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
  pid_t worker = 0;
  {
    process_pool pool({.workers = 1});
    worker = pool.submit([] { return ::getpid(); }).get(30s);
    const pid_t its_template = pool.submit([] { return ::getppid(); }).get(30s);
    ASSERT_EQ(::kill(its_template, SIGSTOP), 0);
  }
  // It ends with its template, and whoever adopts orphans reaps it: this process.
  EXPECT_EQ(::waitpid(worker, nullptr, 0), worker);
}

// A system that has no more to give.

/// A program that is not root any more, and whose user may have so many processes and threads.
void limit_processes(rlim_t most) {
  check(::setgid(54'321) == 0 && ::setuid(54'321) == 0, 90);
  ::prctl(PR_SET_DUMPABLE, 1); // /proc/self/exe is its own again
  lower(RLIMIT_NPROC, most);
}

TEST(limit_of_processes, that_leaves_no_template_is_an_error_of_the_constructor) {
  if (::getuid() != 0)
    GTEST_SKIP() << "needs root, to become a user without other processes";
  EXPECT_EQ(run_as_program([] {
              limit_processes(1);
              try {
                const process_pool pool({.workers = 1});
                ::_exit(1);
              } catch (const std::system_error& e) {
                check(e.code() == std::errc::resource_unavailable_try_again, 2);
              }
              try {
                const process p(sleep_for_ever);
                ::_exit(3);
              } catch (const std::system_error& e) {
                check(e.code() == std::errc::resource_unavailable_try_again, 4);
              }
            }),
            0);
}

TEST(limit_of_processes, that_leaves_no_worker_ends_the_pool_with_a_clear_error) {
  if (::getuid() != 0)
    GTEST_SKIP() << "needs root, to become a user without other processes";
  if (under_thread_sanitizer)
    GTEST_SKIP() << "the sanitizer has threads of its own in each process, which count";
  EXPECT_EQ(run_as_program([] {
              limit_processes(3); // this program, its service thread, the template
              process_pool pool({.workers = 2});
              try {
                pool.submit(add, 1, 1).get(60s);
                ::_exit(1);
              } catch (const pool_closed& e) {
                check(std::string(e.what()).find("no worker process could be started") != std::string::npos,
                      2);
              }
              try {
                const process p(sleep_for_ever);
                ::_exit(3);
              } catch (const std::system_error& e) {
                check(e.code() == std::errc::resource_unavailable_try_again, 4);
              }
            }),
            0);
}

TEST(limit_of_descriptors, is_an_error_of_the_constructor_and_leaves_nothing) {
  if (under_address_sanitizer)
    GTEST_SKIP() << "UndefinedBehaviorSanitizer beside it needs descriptors to look at types";
  for (rlim_t most = 3; most < 14; ++most) {
    EXPECT_EQ(run_as_program([most] {
                lower(RLIMIT_NOFILE, most);
                try {
                  process_pool pool({.workers = 4});
                  // It was enough for that; then workers come to be, or the pool says why not.
                  static_cast<void>(pool.submit(add, 1, 1).get(60s));
                } catch (const std::system_error& e) {
                  check(e.code() == std::errc::too_many_files_open, 2);
                } catch (const error&) { // the pool gave up
                }
              }),
              0)
        << most;
  }
}

TEST(limit_of_descriptors, while_a_worker_is_replaced_ends_the_pool_or_is_waited_out) {
  if (under_address_sanitizer)
    GTEST_SKIP() << "UndefinedBehaviorSanitizer beside it needs descriptors to look at types";
  EXPECT_EQ(run_as_program([] {
              process_pool pool({.workers = 1});
              check(pool.submit(add, 1, 1).get(60s) == 2, 1);
              rlimit limit{};
              ::getrlimit(RLIMIT_NOFILE, &limit);
              limit.rlim_cur = 3;
              ::setrlimit(RLIMIT_NOFILE, &limit);
              try {
                pool.submit([] { ::raise(SIGKILL); }).get(60s);
                ::_exit(2);
              } catch (const worker_died&) {
              }
              try {
                pool.submit(add, 1, 1).get(60s);
                ::_exit(3);
              } catch (const pool_closed& e) {
                check(std::string(e.what()).find("no worker process could be started") != std::string::npos,
                      4);
              }
            }),
            0);
}

TEST(limit_of_file_size, that_leaves_no_shared_memory_is_an_error_and_leaves_nothing) {
  EXPECT_EQ(run_as_program([] {
              ::signal(SIGXFSZ, SIG_IGN);
              process_pool pool({.workers = 1});
              check(pool.submit(add, 1, 1).get(60s) == 2, 1);
              rlimit limit{};
              ::getrlimit(RLIMIT_FSIZE, &limit);
              limit.rlim_cur = 4096;
              ::setrlimit(RLIMIT_FSIZE, &limit);
              try {
                pool.submit([](const std::string& s) { return s.size(); }, std::string(1'000'000, 'x'));
                ::_exit(2);
              } catch (const std::system_error& e) {
                check(e.code() == std::errc::file_too_large, 3);
              }
              check(pool.submit(add, 2, 2).get(60s) == 4, 4); // the pool that is there goes on
              try {
                const process_pool another({.workers = 1});
                ::_exit(5);
              } catch (const std::system_error& e) {
                check(e.code() == std::errc::file_too_large, 6);
              }
            }),
            0);
}

TEST(full_shared_memory_folder, does_not_matter) {
  const int status = run_as_program([] {
    // A /dev/shm of this program's own, with room for one page, which is taken.
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("full", "/dev/shm", "tmpfs", 0, "size=4096") != 0)
      ::_exit(77);
    std::ofstream("/dev/shm/full") << std::string(8192, 'f');
    process_pool pool({.workers = 2});
    check(pool.submit([](const std::string& s) { return s.size(); }, std::string(1'000'000, 'x')).get(60s) ==
              1'000'000,
          1);
  });
  if (status == 77 << 8)
    GTEST_SKIP() << "the system allows no mounts";
  EXPECT_EQ(status, 0);
}

} // namespace
} // namespace fourfold
