#include <fourfold/base/lost_error.hpp>
#include <fourfold/base/unique_fd.hpp>
#include <fourfold/loop/as_completed.hpp>
#include <fourfold/loop/async_descriptor.hpp>
#include <fourfold/loop/async_generator.hpp>
#include <fourfold/loop/exception_group.hpp>
#include <fourfold/loop/exit_stack.hpp>
#include <fourfold/loop/failing_new_test.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/race.hpp>
#include <fourfold/loop/signal_set.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/wait.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/future.hpp>
#include <fourfold/sync/queue.hpp>

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

/// Every allocation of the loop's operations fails once, and then all from it on fail. What must hold each time: the
/// result is right or std::bad_alloc, nothing is lost or hangs (the test's time limit), every object is destroyed
/// exactly once, and the loop goes on to be of use.
namespace fourfold {
namespace {

using namespace std::chrono_literals;
using test::failing;

/// An object of which the tests count how many there are.
class counted {
 public:
  explicit counted(int number) noexcept : number_(number) { ++alive; }
  counted(const counted& other) noexcept : number_(other.number_) { ++alive; }
  counted(counted&& other) noexcept : number_(other.number_) { ++alive; }
  counted& operator=(const counted&) noexcept = default;
  counted& operator=(counted&&) noexcept = default;
  ~counted() { --alive; }
  [[nodiscard]] int number() const noexcept { return number_; }

  static inline std::atomic<int> alive{0};

 private:
  int number_;
};

/// A scenario's result is not what it has to be. Told by an exception whose making takes no memory.
class wrong_result final : public std::exception {
 public:
  explicit wrong_result(const char* what) noexcept : what_(what) {}
  [[nodiscard]] const char* what() const noexcept override { return what_; }

 private:
  const char* what_;
};

void demand(bool holds, const char* what) {
  if (!holds)
    throw wrong_result(what);
}

/// Whether memory, and nothing else, is what failed.
bool is_lack_of_memory(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (const exception_group& group) {
    return std::ranges::all_of(group.exceptions(), &is_lack_of_memory);
  } catch (...) {
    return false;
  }
}

std::string message_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "no std::exception";
  }
}

task<counted> number(int n) {
  co_await yield();
  co_return counted(n);
}

task<> nothing() {
  const counted local(0);
  co_await yield();
}

task<> forever() {
  const counted local(0);
  co_await sleep_until(never);
}

task<> use_the_loop() {
  auto [a, b] = co_await gather(timeout(1h, number(1)), number(2));
  EXPECT_EQ(a.number() + b.number(), 3);
  co_await sleep(0s);
}

struct attempt {
  bool injected = false;
  std::exception_ptr failure;
};

template <class Scenario>
attempt try_with(loop& l, Scenario& scenario, std::size_t nth, failing how) {
  attempt made;
  test::failing_new fails(nth, how);
  try {
    l.run(scenario());
  } catch (...) {
    made.failure = std::current_exception();
  }
  made.injected = fails.end();
  return made;
}

void silent(const std::exception_ptr&, std::string_view) noexcept {}

/// Runs `scenario()`, a coroutine function, until no allocation is left that has not failed. `settle()` waits for
/// what it has left to do elsewhere.
template <class Scenario, class Settle>
void fail_every_allocation(Scenario scenario, Settle settle) {
  const lost_error_handler before = set_lost_error_handler(&silent);
  for (const failing how : {failing::once, failing::from_then}) {
    attempt last;
    std::size_t nth = 0;
    do {
      ++nth;
      const int alive = counted::alive;
      // A thread of its own has kept no freed frames, which would save allocations.
      std::jthread([&] {
        loop l;
        last = try_with(l, scenario, nth, how);
        l.run(use_the_loop());
      }).join();
      settle();
      const auto where = testing::Message()
                         << "allocation " << nth << (how == failing::once ? "" : " and on");
      EXPECT_EQ(counted::alive, alive) << where;
      if (last.failure) {
        EXPECT_TRUE(last.injected && is_lack_of_memory(last.failure)) << where << message_of(last.failure);
      }
    } while (last.injected && nth < 2000 && !testing::Test::HasFailure());
    EXPECT_FALSE(last.injected);
    EXPECT_GT(nth, 1U) << "there was nothing to fail";
  }
  set_lost_error_handler(before);
}

template <class Scenario>
void fail_every_allocation(Scenario scenario) {
  fail_every_allocation(std::move(scenario), [] {});
}

TEST(allocation_failure, of_calling_coroutines) {
  auto add = [](int a, counted b) -> task<counted> { co_return counted(a + b.number()); };
  auto scenario = [&]() -> task<> {
    counted sum(0);
    for (int i = 0; i < 3; ++i) {
      counted next = co_await number(i);
      sum = co_await add(sum.number(), next);
    }
    demand(sum.number() == 3, "the sum");
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_spawning) {
  auto scenario = []() -> task<> {
    future<counted> first = spawn(number(1));
    future<counted> named = spawn(number(2), "a name that is too long to be kept inside of a string");
    spawn(forever()); // the end of run() ends it
    const counted a = co_await first;
    const counted b = co_await named;
    demand(a.number() == 1 && b.number() == 2, "results");
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_spawning_into_a_group_whose_tasks_run) {
  auto scenario = []() -> task<> {
    int ended = 0;
    auto child = [&ended](counted) -> task<> {
      co_await yield();
      co_await nothing();
      ++ended;
    };
    auto body = [&](task_group& group) -> task<> {
      for (int i = 0; i < 3; ++i) {
        group.spawn(child(counted(i)));
        group.spawn(child(counted(i)), "a name that is too long to be kept inside of a string");
        co_await yield();
      }
    };
    co_await with_task_group(body);
    demand(ended == 6, "all have run");
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_a_group_in_which_several_tasks_fail) {
  auto scenario = []() -> task<> {
    auto fail = [](counted) -> task<> {
      co_await yield();
      throw 1;
    };
    auto body = [&](task_group& group) -> task<> {
      for (int i = 0; i < 3; ++i)
        group.spawn(fail(counted(i)));
      co_return;
    };
    try {
      co_await with_task_group(body);
    } catch (const exception_group&) {
      co_return;
    } catch (int) {
      co_return; // without memory for the others
    }
    demand(false, "the failures are thrown");
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_gather) {
  auto scenario = []() -> task<> {
    auto [one, two, three] = co_await gather(number(1), nothing(), number(3));
    demand(one.number() == 1 && three.number() == 3, "results");
  };
  fail_every_allocation(scenario);
}

std::vector<task<counted>> three_numbers() {
  std::vector<task<counted>> tasks;
  for (int i = 0; i < 3; ++i)
    tasks.push_back(number(i));
  return tasks;
}

TEST(allocation_failure, of_gather_of_a_range) {
  auto scenario = []() -> task<> {
    const std::vector<counted> all = co_await gather(three_numbers());
    demand(all.size() == 3 && all[2].number() == 2, "results");
  };
  fail_every_allocation(scenario);
}

// Nobody takes the results of these, by which a failure might be lost.
TEST(allocation_failure, of_gather_of_a_range_of_void) {
  auto scenario = []() -> task<> {
    int ended = 0;
    auto one = [](int& count, counted) -> task<> {
      co_await nothing();
      ++count;
    };
    std::vector<task<>> tasks;
    for (int i = 0; i < 3; ++i)
      tasks.push_back(one(ended, counted(i)));
    co_await gather(std::move(tasks));
    demand(ended == 3, "all have run");
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_collect_all) {
  auto scenario = []() -> task<> {
    auto [one, two] = co_await collect_all(number(1), nothing());
    for (const std::exception_ptr& failure : {one ? nullptr : one.error(), two ? nullptr : two.error()})
      demand(!failure || is_lack_of_memory(failure), "an outcome");
    demand(!one || one->number() == 1, "a result");
    const auto all = co_await collect_all(three_numbers());
    demand(all.size() == 3, "an outcome of each");
    for (std::size_t i = 0; i < all.size(); ++i)
      demand(all[i] ? all[i]->number() == static_cast<int>(i) : is_lack_of_memory(all[i].error()), "each");
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_race) {
  auto scenario = []() -> task<> {
    const auto first = co_await race(number(1), forever());
    demand(first.index() == 0 && std::get<0>(first).number() == 1, "who wins");
    const auto winner = co_await race(three_numbers());
    demand(winner.value.number() == static_cast<int>(winner.index), "who wins of a range");
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_as_completed) {
  auto scenario = []() -> task<> {
    auto body = [](auto&& each) -> task<int> {
      int sum = 0;
      while (auto one = co_await each.next())
        sum += one->get().number();
      co_return sum;
    };
    demand(co_await as_completed(three_numbers(), body) == 3, "the sum");
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_wait) {
  auto scenario = []() -> task<> {
    std::vector<future<counted>> calls;
    for (int i = 0; i < 3; ++i)
      calls.push_back(spawn(number(i)));
    const auto ready = co_await wait(calls, return_when::all_completed);
    demand(ready.size() == 3, "all are ready");
    for (auto& call : calls)
      co_await call;
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_time_limits) {
  auto scenario = []() -> task<> {
    const counted in_time = co_await timeout(1h, number(1));
    demand(in_time.number() == 1, "in time");
    bool passed = false;
    try {
      co_await timeout(0s, forever());
    } catch (const timed_out&) {
      passed = true;
    }
    demand(passed, "the limit passes");
    auto body = [](auto&& limit) -> task<counted> {
      limit.reschedule(2h);
      co_return co_await number(2);
    };
    const counted moved = co_await with_timeout(1h, body);
    demand(moved.number() == 2, "a moved limit");
    co_await shield(nothing());
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_many_that_sleep) {
  auto scenario = []() -> task<> {
    int woken = 0;
    auto one = [](int& count, counted) -> task<> {
      co_await sleep(1us);
      ++count;
    };
    auto body = [&](task_group& group) -> task<> {
      for (int i = 0; i < 20; ++i)
        group.spawn(one(woken, counted(i)));
      co_await sleep(1us);
    };
    co_await with_task_group(body);
    demand(woken == 20, "all were woken");
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_queues) {
  auto scenario = []() -> task<> {
    queue<counted> items(2);
    auto producer = [](queue<counted>& to) -> task<> {
      for (int i = 0; i < 5; ++i)
        co_await to.async_put(counted(i));
      to.close();
    };
    auto consumer = [](queue<counted>& from) -> task<int> {
      int expected = 0;
      while (auto item = co_await from.async_next())
        demand(item->number() == expected++, "the order");
      co_return expected;
    };
    auto [nobody, got] = co_await gather(producer(items), consumer(items));
    demand(got == 5, "all items");
    queue<counted> unbounded;
    co_await unbounded.async_put(counted(1));
    const counted item = co_await unbounded.async_get();
    demand(item.number() == 1, "the item");
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_promises) {
  auto scenario = []() -> task<> {
    promise<counted> kept;
    future<counted> value = kept.get_future();
    auto keep = [](promise<counted>& p) -> task<> {
      co_await yield();
      p.set_value(1);
    };
    future<void> keeper = spawn(keep(kept));
    co_await keeper;
    const counted got = co_await value;
    demand(got.number() == 1, "the value");
    future<counted> never_kept;
    {
      promise<counted> broken;
      never_kept = broken.get_future();
    }
    bool told = false;
    try {
      co_await never_kept;
    } catch (const broken_promise&) {
      told = true;
    }
    demand(told, "the broken promise");
    int called = 0;
    make_ready_future<counted>(1).on_ready([&called] { ++called; });
    promise<int> later;
    future<int> awaited = later.get_future();
    awaited.on_ready([&called, kept_alive = counted(1)] { called += kept_alive.number(); });
    later.set_value(1);
    demand(called == 2, "the callbacks");
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_calls_on_the_own_loop) {
  auto scenario = []() -> task<> {
    loop& l = loop::current();
    const counted argument(2);
    const counted plain = co_await l.submit([](counted c) { return counted(c.number() + 1); }, argument);
    const counted coroutine = co_await l.submit(&number, 4);
    demand(plain.number() == 3 && coroutine.number() == 4, "results");
    event posted;
    l.post([&posted, keeps = counted(5)] { posted.set(); });
    co_await posted.async_wait();
    auto cancelled_call = l.submit(&forever);
    co_await yield();
    cancelled_call.cancel();
    co_await cancelled_call.async_wait();
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_calls_on_a_loop_of_another_thread) {
  test::loop_thread other;
  auto scenario = [&other]() -> task<> {
    const counted argument(2);
    const counted plain = co_await other->submit([](counted c) { return counted(c.number() + 1); }, argument);
    const counted coroutine = co_await other->submit(&number, 4);
    demand(plain.number() == 3 && coroutine.number() == 4, "results");
    promise<int> posted;
    future<int> posted_value = posted.get_future();
    other->post([p = std::move(posted), keeps = counted(5)]() mutable { p.set_value(keeps.number()); });
    demand(co_await posted_value == 5, "the post");
    auto endless = []() -> task<> { co_await sleep_until(never); };
    auto call = other->submit(endless);
    // Without memory for the post that cancels it, it says so, and the loop's end ends the call.
    if (call.cancel())
      co_await call.async_wait();
  };
  fail_every_allocation(scenario, [&other] { other->submit([] {}).get(); });
}

TEST(allocation_failure, of_what_another_thread_asks_of_the_loop) {
  auto scenario = []() -> task<> {
    promise<int> posted;
    future<int> posted_value = posted.get_future();
    future<counted> plain;
    future<counted> coroutine;
    std::jthread([&, &l = loop::current()] {
      plain = l.submit([] { return counted(1); });
      coroutine = l.submit(&number, 2);
      l.post([p = std::move(posted)]() mutable { p.set_value(3); });
    }).join();
    demand(co_await posted_value == 3, "the post");
    const counted a = co_await plain;
    const counted b = co_await coroutine;
    demand(a.number() == 1 && b.number() == 2, "results");
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_clean_ups) {
  int opened = 0;
  int closed = 0;
  auto scenario = [&]() -> task<> {
    auto body = [&](exit_stack& stack) -> task<> {
      for (int i = 0; i < 6; ++i) {
        stack.push([&, keeps = counted(i)] { ++closed; });
        ++opened;
      }
      counted& resource = stack.push(counted(7), [&](counted&) { ++closed; });
      ++opened;
      demand(resource.number() == 7, "the resource");
      stack.push([keeps = counted(8)] { return nothing(); });
      co_return;
    };
    co_await with_exit_stack(body);
  };
  fail_every_allocation(scenario);
  EXPECT_EQ(closed, opened) << "a function needs no memory to be called";
  EXPECT_GT(opened, 0);
}

TEST(allocation_failure, of_clean_ups_that_all_fail) {
  auto scenario = []() -> task<> {
    auto body = [](exit_stack& stack) -> task<> {
      for (int i = 0; i < 6; ++i)
        stack.push([keeps = counted(i)] { throw 1; });
      co_return;
    };
    bool failed = false;
    try {
      co_await with_exit_stack(body);
    } catch (const exception_group&) {
      failed = true;
    } catch (int) {
      failed = true;
    }
    demand(failed, "the failures are thrown");
  };
  fail_every_allocation(scenario);
}

async_generator<counted> count_down(int from) {
  const counted local(from);
  co_await yield();
  co_yield counted(from);
  if (from > 0)
    co_yield elements_of(count_down(from - 1));
}

TEST(allocation_failure, of_nested_generators) {
  auto scenario = []() -> task<> {
    auto numbers = count_down(3);
    int expected = 3;
    while (counted* next = co_await numbers.next())
      demand(next->number() == expected--, "the order");
    demand(expected == -1, "all elements");
    auto left = count_down(3);
    co_await left.next();
    co_await std::move(left).close();
  };
  fail_every_allocation(scenario);
}

TEST(allocation_failure, of_signal_sets) {
  auto scenario = []() -> task<> {
    signal_set wanted({SIGUSR1, SIGUSR2});
    ::raise(SIGUSR2);
    demand(co_await wanted.next() == SIGUSR2, "the signal");
    bool passed = false;
    try {
      co_await timeout(0s, wanted.next());
    } catch (const timed_out&) {
      passed = true;
    }
    demand(passed, "no other signal");
  };
  fail_every_allocation(scenario);
}

task<std::size_t> receive_some(async_descriptor& from, std::span<std::byte> buffer) {
  co_return co_await from.receive(buffer);
}

task<> talk_to_itself() {
  std::array<int, 2> ends{};
  demand(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0, "socketpair");
  unique_fd second(ends[1]); // while the first may fail
  async_descriptor a(ends[0]);
  async_descriptor b(second.release());
  std::array<std::byte, 4> buffer{};
  auto receive = [&]() -> task<> { demand(co_await receive_some(b, buffer) == 4, "what is received"); };
  auto body = [&](task_group& group) -> task<> {
    group.spawn(receive());
    co_await yield(); // it waits
    const std::array<std::byte, 4> data{};
    demand(co_await a.send(data) == 4, "what is sent");
  };
  co_await with_task_group(body);
  bool passed = false;
  try {
    co_await timeout(0s, receive_some(b, buffer));
  } catch (const timed_out&) {
    passed = true;
  }
  demand(passed, "nothing more comes");
}

/// Runs `f` with each reactor that the kernel has.
template <class F>
void with_each_reactor(F f) {
  const char* found = std::getenv("FOURFOLD_REACTOR");
  const std::string before = found != nullptr ? found : "";
  for (const char* name : {"epoll", "io_uring"}) {
    ::setenv("FOURFOLD_REACTOR", name, 1);
    try {
      loop();
    } catch (const std::system_error&) {
      continue;
    }
    f();
  }
  found != nullptr ? ::setenv("FOURFOLD_REACTOR", before.c_str(), 1) : ::unsetenv("FOURFOLD_REACTOR");
}

TEST(allocation_failure, of_descriptors) {
  with_each_reactor([] { fail_every_allocation(&talk_to_itself); });
}

} // namespace
} // namespace fourfold
