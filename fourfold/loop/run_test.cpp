#include <fourfold/base/errors.hpp>
#include <fourfold/base/sanitizers.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/signal_set.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ExitedWithCode;
using testing::HasSubstr;
using testing::KilledBySignal;
using testing::Not;

bool is_default(int number) {
  struct sigaction now{};
  EXPECT_EQ(::sigaction(number, nullptr, &now), 0);
  return (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL;
}

task<> wait_for_ever() { co_await sleep(24h); }

struct program_end {
  int wait_status;
  std::string output;
  [[nodiscard]] bool died_of(int signal) const {
    return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == signal;
  }
};

/// Runs `main` in a process of its own, from whose main thread exceptions can leave: it begins on a thread's
/// stack, where nobody catches any, as a test's body does.
template <class F>
program_end end_of(F main) {
  std::fflush(stdout); // or both processes would write what is there
  std::array<int, 2> pipe{};
  EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  pid_t child = 0;
  std::jthread([&] {
    child = ::fork();
    if (child != 0)
      return;
    ::dup2(pipe[1], STDOUT_FILENO);
    ::dup2(pipe[1], STDERR_FILENO);
    std::setvbuf(stdout, nullptr, _IOFBF, BUFSIZ); // written when it is full or flushed
    main();
    ::_exit(0);
  }).join();
  ::close(pipe[1]);
  program_end end{};
  std::array<char, 256> buffer{};
  for (ssize_t size = 0; (size = ::read(pipe[0], buffer.data(), buffer.size())) > 0;)
    end.output.append(buffer.data(), static_cast<std::size_t>(size));
  ::close(pipe[0]);
  EXPECT_EQ(::waitpid(child, &end.wait_status, 0), child);
  return end;
}

class interrupt : public testing::Test {
 protected:
  // A job in the background of a shell is started with it ignored.
  interrupt() { ::signal(SIGINT, SIG_DFL); }
};

TEST_F(interrupt, cancels_the_main_task_wherever_the_loop_is) {
  auto sends_itself_one = []() -> task<> {
    ::raise(SIGINT);
    co_await wait_for_ever();
  };
  EXPECT_THROW(run(sends_itself_one()), interrupted);
  auto gets_one_asleep = []() -> task<> {
    const std::jthread sender([] { ::kill(::getpid(), SIGINT); });
    co_await wait_for_ever();
  };
  EXPECT_THROW(run(gets_one_asleep()), interrupted);
  auto is_busy = []() -> task<> {
    ::raise(SIGINT);
    for (;;)
      co_await yield();
  };
  try {
    run(is_busy());
    FAIL();
  } catch (const interrupted& e) {
    EXPECT_EQ(e.signal(), SIGINT);
  }
  EXPECT_TRUE(is_default(SIGINT));
}

TEST_F(interrupt, clean_up_runs_in_the_task_and_in_those_it_has_spawned) {
  bool cleaned_up = false;
  bool child_cleaned_up = false;
  auto clean_up = [](bool& done) -> task<> {
    co_await test::let_others_run();
    done = true;
  };
  auto work = [](auto& at_end, bool& done) -> task<> {
    bool cancelled_here = false;
    try {
      co_await wait_for_ever();
    } catch (const cancelled&) {
      cancelled_here = true;
    }
    EXPECT_TRUE(cancelled_here);
    co_await shield(at_end(done));
    throw cancelled();
  };
  auto body = [&]() -> task<> {
    future<void> child = spawn(work(clean_up, child_cleaned_up));
    co_await test::let_others_run();
    ::raise(SIGINT);
    co_await work(clean_up, cleaned_up);
  };
  EXPECT_THROW(run(body()), interrupted);
  EXPECT_TRUE(cleaned_up);
  EXPECT_TRUE(child_cleaned_up);
}

TEST_F(interrupt, task_that_returns_a_value_all_the_same_has_returned_it) {
  auto body = []() -> task<int> {
    ::raise(SIGINT);
    try {
      co_await wait_for_ever();
    } catch (const cancelled&) {
      co_return 5;
    }
    co_return 6;
  };
  EXPECT_EQ(run(body()), 5);
}

TEST_F(interrupt, failure_of_the_clean_up_is_thrown_as_it_is) {
  auto body = []() -> task<> {
    ::raise(SIGINT);
    try {
      co_await wait_for_ever();
    } catch (const cancelled&) {
      throw std::runtime_error("the disk is full");
    }
  };
  EXPECT_THROW(run(body()), std::runtime_error);
}

TEST_F(interrupt, cancellation_by_the_program_itself_is_no_interruption) {
  auto body = []() -> task<> {
    throw cancelled("enough");
    co_return;
  };
  try {
    run(body());
    FAIL();
  } catch (const interrupted&) {
    FAIL();
  } catch (const cancelled& e) {
    EXPECT_STREQ(e.what(), "enough");
  }
}

TEST_F(interrupt, is_left_alone_where_it_is_ignored) {
  ::signal(SIGINT, SIG_IGN);
  auto body = []() -> task<int> {
    ::raise(SIGINT);
    co_await test::let_others_run();
    struct sigaction now{};
    EXPECT_EQ(::sigaction(SIGINT, nullptr, &now), 0);
    EXPECT_EQ(now.sa_handler, SIG_IGN);
    co_return 1;
  };
  EXPECT_EQ(run(body()), 1);
  ::signal(SIGINT, SIG_DFL);
}

TEST_F(interrupt, is_left_alone_where_it_is_blocked_handled_switched_off_or_not_on_the_main_thread) {
  auto body = []() -> task<bool> { co_return is_default(SIGINT); };
  EXPECT_FALSE(run(body()));
  EXPECT_TRUE(run(body(), {.handle_interrupt = false}));
  std::jthread([&] { EXPECT_TRUE(run(body())); }).join();
  EXPECT_TRUE(loop().run(body()));
  sigset_t only_interrupt;
  ::sigemptyset(&only_interrupt);
  ::sigaddset(&only_interrupt, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &only_interrupt, nullptr);
  EXPECT_TRUE(run(body())); // a program that takes it by sigwait()
  ::pthread_sigmask(SIG_UNBLOCK, &only_interrupt, nullptr);
  auto own = [](int) {};
  ::signal(SIGINT, own);
  auto handler = []() -> task<void (*)(int)> {
    struct sigaction now{};
    EXPECT_EQ(::sigaction(SIGINT, nullptr, &now), 0);
    co_return now.sa_handler;
  };
  EXPECT_EQ(run(handler()), +own);
  ::signal(SIGINT, SIG_DFL);
}

TEST_F(interrupt, signal_set_takes_it_while_it_exists) {
  auto body = []() -> task<> {
    {
      signal_set own({SIGINT});
      for (int i = 0; i < 3; ++i)
        ::raise(SIGINT);
      EXPECT_EQ(co_await own.next(), SIGINT);
    }
    EXPECT_FALSE(is_default(SIGINT));
    ::raise(SIGINT);
    co_await wait_for_ever();
  };
  EXPECT_THROW(run(body()), interrupted);
  EXPECT_TRUE(is_default(SIGINT));
}

TEST_F(interrupt, one_run_after_another_counts_from_one) {
  auto body = []() -> task<> {
    ::raise(SIGINT);
    co_await wait_for_ever();
  };
  for (int i = 0; i < 3; ++i)
    EXPECT_THROW(run(body()), interrupted);
}

class interrupt_death_test : public interrupt {
 protected:
  interrupt_death_test() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  static constexpr auto no_signals_in_a_child =
      "the thread sanitizer holds signals back in the child of a process with threads";
};

task<> say_after_a_while(const char* what) {
  co_await test::let_others_run();
  std::fputs(what, stderr);
}

/// Interrupts itself, and cleans up.
task<> interrupted_work(task<> clean_up) {
  ::raise(SIGINT);
  bool cancelled_here = false;
  try {
    co_await wait_for_ever();
  } catch (const cancelled&) {
    cancelled_here = true;
  }
  if (cancelled_here)
    co_await shield(std::move(clean_up));
  throw cancelled();
}

TEST_F(interrupt_death_test, uncaught_ends_the_process_by_the_signal_after_clean_up_and_with_its_output) {
  if (under_thread_sanitizer)
    GTEST_SKIP() << no_signals_in_a_child;
  const program_end end = end_of([] {
    std::printf("measured;");
    run(interrupted_work(say_after_a_while("cleaned up;")));
    std::printf("still here;");
  });
  EXPECT_TRUE(end.died_of(SIGINT)) << end.wait_status;
  EXPECT_EQ(end.output, "cleaned up;measured;");
}

TEST_F(interrupt_death_test, caught_gives_the_exit_status_that_the_program_likes) {
  auto program = [] {
    try {
      run(interrupted_work(say_after_a_while("cleaned up")));
    } catch (const interrupted& e) {
      std::exit(128 + e.signal());
    }
  };
  EXPECT_EXIT(program(), ExitedWithCode(130), "cleaned up");
}

TEST_F(interrupt_death_test, second_one_during_clean_up_ends_at_once) {
  auto stuck = []() -> task<> {
    std::fputs("cleaning up;", stderr);
    co_await test::let_others_run();
    ::raise(SIGINT);
    std::fputs("still here", stderr);
    ::_exit(7);
  };
  EXPECT_EXIT(run(interrupted_work(stuck())), KilledBySignal(SIGINT),
              AllOf(HasSubstr("cleaning up;"), Not(HasSubstr("still here"))));
}

TEST_F(interrupt_death_test, second_one_ends_a_loop_that_never_came_to_see_the_first) {
  auto computes = []() -> task<> {
    ::raise(SIGINT);
    std::fputs("computing;", stderr);
    ::raise(SIGINT);
    ::_exit(7);
    co_return;
  };
  EXPECT_EXIT(run(computes()), KilledBySignal(SIGINT), "computing;");
}

TEST_F(interrupt_death_test, one_that_comes_too_late_to_cancel_anything_is_not_swallowed) {
  auto body = []() -> task<int> {
    ::raise(SIGINT);
    co_return 5;
  };
  auto program = [&] {
    run(body());
    ::_exit(7);
  };
  EXPECT_EXIT(program(), KilledBySignal(SIGINT), "");
}

TEST_F(interrupt_death_test, without_the_option_it_ends_the_process_at_once) {
  auto program = [] {
    run(interrupted_work(say_after_a_while("cleaned up")), {.handle_interrupt = false});
    ::_exit(7);
  };
  EXPECT_EXIT(program(), KilledBySignal(SIGINT), Not(HasSubstr("cleaned up")));
}

TEST_F(interrupt_death_test, other_uncaught_exceptions_go_to_the_terminate_handler_that_was_there) {
  if (under_thread_sanitizer)
    GTEST_SKIP() << no_signals_in_a_child;
  const program_end end = end_of([] {
    std::set_terminate([] {
      std::fputs("the program's own handler", stderr);
      ::_exit(4);
    });
    try {
      run(interrupted_work(say_after_a_while("")));
    } catch (const interrupted&) {
      throw std::runtime_error("a failure");
    }
  });
  EXPECT_TRUE(WIFEXITED(end.wait_status) && WEXITSTATUS(end.wait_status) == 4) << end.wait_status;
  EXPECT_EQ(end.output, "the program's own handler");
}

} // namespace
} // namespace fourfold
