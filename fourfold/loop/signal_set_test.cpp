#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/signal_set.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::atomic<int> calls_of_own_handler{0};
void own_handler(int) { ++calls_of_own_handler; }

/// Gives a signal another disposition for a scope.
class disposition {
 public:
  disposition(int number, void (*handler)(int)) : number_(number) {
    calls_of_own_handler = 0;
    struct sigaction wanted{};
    wanted.sa_handler = handler;
    EXPECT_EQ(::sigaction(number, &wanted, &before_), 0);
  }
  ~disposition() { ::sigaction(number_, &before_, nullptr); }
  disposition(const disposition&) = delete;
  disposition& operator=(const disposition&) = delete;

 private:
  int number_;
  struct sigaction before_{};
};

void (*handler_of(int number))(int) {
  struct sigaction now{};
  EXPECT_EQ(::sigaction(number, nullptr, &now), 0);
  return now.sa_handler;
}

/// To the process, where any thread may get it.
void send(int number) { ASSERT_EQ(::kill(::getpid(), number), 0); }

task<bool> is_cancelled(future<int>& ended) {
  try {
    co_await ended;
  } catch (const cancelled&) {
    co_return true;
  }
  co_return false;
}

TEST(signal_set, signals_that_came_before_anybody_waits_are_kept_once_each_and_the_lowest_comes_first) {
  auto body = []() -> task<> {
    signal_set signals({SIGTERM, SIGHUP, SIGUSR1});
    for (int i = 0; i < 3; ++i)
      ::raise(SIGTERM);
    ::raise(SIGHUP);
    EXPECT_EQ(co_await signals.next(), SIGHUP);
    EXPECT_EQ(co_await signals.next(), SIGTERM);
    ::raise(SIGUSR1);
    EXPECT_EQ(co_await signals.next(), SIGUSR1);
  };
  run(body());
}

TEST(signal_set, signal_sent_to_the_process_or_from_another_thread_wakes_the_task_that_waits) {
  auto body = []() -> task<> {
    signal_set signals({SIGUSR1, SIGUSR2});
    future<int> next = spawn(signals.next());
    co_await test::let_others_run();
    EXPECT_FALSE(next.ready());
    send(SIGUSR1);
    EXPECT_EQ(co_await next, SIGUSR1);
    next = spawn(signals.next());
    co_await test::let_others_run();
    // The loop sleeps or is about to: nothing else is ready.
    std::jthread sender([to = ::pthread_self()] { EXPECT_EQ(::pthread_kill(to, SIGUSR2), 0); });
    EXPECT_EQ(co_await next, SIGUSR2);
    // The handler runs on that other thread.
    std::jthread itself([] { ::raise(SIGUSR1); });
    EXPECT_EQ(co_await signals.next(), SIGUSR1);
  };
  run(body());
}

TEST(signal_set, real_time_signals_are_counted) {
  constexpr int threads = 4;
  constexpr int each = 250;
  auto body = []() -> task<> {
    const int first = SIGRTMIN + 1;
    const int second = SIGRTMIN + 2;
    signal_set signals({first, second});
    std::vector<std::jthread> senders;
    for (int t = 0; t < threads; ++t) {
      senders.emplace_back([number = t % 2 == 0 ? first : second] {
        for (int i = 0; i < each; ++i)
          ::raise(number); // to itself: the thread sanitizer merges those from elsewhere
      });
    }
    int firsts = 0;
    for (int i = 0; i < threads * each; ++i)
      firsts += co_await signals.next() == first ? 1 : 0;
    EXPECT_EQ(firsts, threads * each / 2);
    future<int> more = spawn(signals.next());
    co_await test::let_others_run();
    EXPECT_FALSE(more.ready());
    more.cancel();
    EXPECT_TRUE(co_await is_cancelled(more)); // before the set goes
  };
  run(body());
}

TEST(signal_set, every_set_on_every_loop_gets_the_signal) {
  auto take = [](event& made) -> task<int> {
    signal_set own({SIGUSR1});
    made.set();
    co_return co_await own.next();
  };
  auto body = [](auto& elsewhere) -> task<> {
    test::loop_thread one;
    test::loop_thread two;
    event first_made;
    event second_made;
    future<int> first = one->submit(elsewhere, std::ref(first_made));
    future<int> second = two->submit(elsewhere, std::ref(second_made));
    co_await first_made.async_wait();
    co_await second_made.async_wait();
    signal_set here({SIGUSR1, SIGUSR2});
    signal_set here_too({SIGUSR1});
    send(SIGUSR1);
    EXPECT_EQ(co_await here.next(), SIGUSR1);
    EXPECT_EQ(co_await here_too.next(), SIGUSR1);
    EXPECT_EQ(co_await first, SIGUSR1);
    EXPECT_EQ(co_await second, SIGUSR1);
  };
  run(body(take));
}

TEST(signal_set, previous_handler_is_not_called_meanwhile_and_comes_back_with_the_end_of_the_last_set) {
  const disposition own(SIGUSR1, own_handler);
  auto body = []() -> task<> {
    std::optional<signal_set> first;
    first.emplace({SIGUSR1});
    {
      signal_set second({SIGUSR1, SIGUSR2});
      first.reset();
      ::raise(SIGUSR1);
      EXPECT_EQ(co_await second.next(), SIGUSR1);
      EXPECT_EQ(calls_of_own_handler, 0);
    }
    EXPECT_EQ(handler_of(SIGUSR1), own_handler);
    EXPECT_EQ(handler_of(SIGUSR2), SIG_DFL);
    ::raise(SIGUSR1);
    EXPECT_EQ(calls_of_own_handler, 1);
  };
  run(body());
}

TEST(signal_set, handler_that_was_put_over_the_set_stays_and_may_call_it) {
  static struct sigaction below;
  const disposition restores(SIGUSR1, SIG_IGN);
  auto body = []() -> task<> {
    {
      signal_set signals({SIGUSR1});
      struct sigaction over{};
      over.sa_flags = SA_SIGINFO;
      over.sa_sigaction = [](int number, siginfo_t* info, void* context) {
        ++calls_of_own_handler;
        below.sa_sigaction(number, info, context);
      };
      EXPECT_EQ(::sigaction(SIGUSR1, &over, &below), 0);
      ::raise(SIGUSR1);
      EXPECT_EQ(co_await signals.next(), SIGUSR1);
    }
    ::raise(SIGUSR1);
    EXPECT_EQ(calls_of_own_handler, 2) << "and calling what is below ends, although no set is there any more";
    // Put back too late: the signal does what it did before the set, not nothing and not this for ever.
    EXPECT_EQ(::sigaction(SIGUSR1, &below, nullptr), 0);
    ::raise(SIGUSR1);
    EXPECT_EQ(handler_of(SIGUSR1), SIG_IGN);
    signal_set again({SIGUSR1});
    ::raise(SIGUSR1);
    EXPECT_EQ(co_await again.next(), SIGUSR1);
  };
  run(body());
}

TEST(signal_set, cancelled_and_timed_out_waits_lose_no_signal) {
  auto body = []() -> task<> {
    signal_set signals({SIGUSR1});
    for (int i = 0; i < 20; ++i) {
      try {
        co_await timeout(50us, signals.next());
        ADD_FAILURE();
      } catch (const timed_out&) {
      }
    }
    future<int> first = spawn(signals.next());
    co_await test::let_others_run();
    first.cancel();
    ::raise(SIGUSR1);
    // Whichever came first, somebody gets it.
    int taken = 0;
    try {
      taken = co_await first;
    } catch (const cancelled&) {
    }
    if (taken == 0)
      taken = co_await timeout(1h, signals.next());
    EXPECT_EQ(taken, SIGUSR1);
    // One that is cancelled takes none, even if one is there.
    ::raise(SIGUSR1);
    auto cancelled_task = [](signal_set& from) -> task<int> {
      detail::root_context::current_or_throw().scope().cancel();
      co_return co_await from.next();
    };
    future<int> refused = spawn(cancelled_task(signals));
    EXPECT_TRUE(co_await is_cancelled(refused));
    EXPECT_EQ(co_await signals.next(), SIGUSR1);
  };
  run(body());
}

TEST(signal_set, second_task_that_waits_is_an_error_and_the_first_is_unharmed) {
  auto body = []() -> task<> {
    signal_set signals({SIGUSR1});
    future<int> first = spawn(signals.next());
    co_await test::let_others_run();
    future<int> second = spawn(signals.next());
    try {
      co_await second;
      ADD_FAILURE();
    } catch (const cancelled&) {
      ADD_FAILURE();
    } catch (const error& e) {
      EXPECT_THAT(e.what(), HasSubstr("another task"));
    }
    ::raise(SIGUSR1);
    EXPECT_EQ(co_await first, SIGUSR1);
  };
  run(body());
}

std::string refusal_of(std::initializer_list<int> numbers) {
  try {
    const signal_set made(numbers);
    return "none";
  } catch (const error& e) {
    return e.what();
  }
}

TEST(signal_set, signals_that_cannot_be_taken_are_refused_with_a_sentence_and_nothing_is_changed) {
  auto body = []() -> task<> {
    EXPECT_EQ(refusal_of({SIGUSR1, SIGKILL}), "signal_set: signal 9 (SIGKILL): no process can take it");
    EXPECT_THAT(refusal_of({SIGSTOP}), HasSubstr("(SIGSTOP): no process can take it"));
    for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS})
      EXPECT_THAT(refusal_of({number}), HasSubstr("an instruction has failed"));
    for (const int number : {-1, 0, SIGRTMAX + 1, 1'000'000})
      EXPECT_THAT(refusal_of({number}), HasSubstr(std::to_string(number) + ": there is no such signal"));
    EXPECT_THAT(refusal_of({SIGRTMIN - 1}), HasSubstr("the C library keeps it"));
    EXPECT_THAT(refusal_of({}), HasSubstr("no signal is named"));
    EXPECT_EQ(handler_of(SIGUSR1), SIG_DFL);
    co_return;
  };
  run(body());
  EXPECT_THROW(signal_set({SIGUSR1}), wrong_thread);
}

TEST(signal_set, every_other_signal_can_be_taken) {
  auto body = []() -> task<> {
    for (const int number : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGCHLD, SIGWINCH, SIGTSTP, SIGCONT, SIGPIPE,
                             SIGALRM, SIGPWR, SIGRTMIN, SIGRTMAX}) {
      signal_set signals({number});
      ::raise(number);
      EXPECT_EQ(co_await signals.next(), number);
    }
  };
  run(body());
}

TEST(signal_set, used_on_another_loop_is_an_error) {
  auto use = [](signal_set& signals) -> task<bool> {
    try {
      co_await signals.next();
    } catch (const wrong_thread&) {
      co_return true;
    }
    co_return false;
  };
  auto body = [](auto& elsewhere) -> task<> {
    test::loop_thread other;
    signal_set signals({SIGUSR1});
    future<bool> refused = other->submit(elsewhere, std::ref(signals));
    EXPECT_TRUE(co_await refused);
  };
  run(body(use));
}

TEST(signal_set, forked_child_has_what_stood_before) {
  auto body = []() -> task<> {
    signal_set signals({SIGUSR1});
    const pid_t child = ::fork();
    if (child == 0) {
      ::raise(SIGUSR1);
      ::_exit(7);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1) << status;
    future<int> next = spawn(signals.next());
    co_await test::let_others_run();
    EXPECT_FALSE(next.ready());
    ::raise(SIGUSR1);
    EXPECT_EQ(co_await next, SIGUSR1);
  };
  run(body());
}

TEST(signal_set, sets_come_and_go_while_signals_arrive_on_every_thread) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  auto come_and_go = []() -> task<int> {
    int taken = 0;
    for (int i = 0; i < 300; ++i) {
      signal_set signals({SIGUSR1, SIGUSR2});
      if (i % 3 == 0)
        taken += co_await signals.next() == SIGUSR1 ? 1 : 0;
    }
    co_return taken;
  };
  test::loop_thread one;
  test::loop_thread two;
  std::atomic<bool> over{false};
  std::vector<std::jthread> senders;
  for (int i = 0; i < 2; ++i) {
    senders.emplace_back([&] {
      while (!over) {
        ::raise(SIGUSR1);
        ::kill(::getpid(), SIGUSR1);
      }
    });
  }
  future<int> first = one->submit(come_and_go);
  future<int> second = two->submit(come_and_go);
  EXPECT_EQ(first.get(), 100);
  EXPECT_EQ(second.get(), 100);
  over = true;
  senders.clear();
  EXPECT_EQ(handler_of(SIGUSR1), SIG_IGN);
}

TEST(signal_set_death_test, destruction_while_a_task_waits_aborts_with_a_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto body = []() -> task<> {
    std::optional<signal_set> signals;
    signals.emplace({SIGUSR1});
    future<int> waiting = spawn(signals->next());
    co_await test::let_others_run();
    signals.reset();
  };
  EXPECT_DEATH(run(body()),
               "fourfold: misuse: a signal set was destroyed while a task waits for its signals");
}

} // namespace
} // namespace fourfold
