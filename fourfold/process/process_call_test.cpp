// What can be called, and the options of a call: priority, retries, time limits, cancelling what runs, a bounded queue.

#include <fourfold/base/errors.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/event.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

int add(int a, int b) { return a + b; }
void nothing() {}
void pause_for_ever() {
  for (;;)
    ::pause();
}

/// Bytes that tests and their workers share through a file: a place to count in and to wait on, for functions.
class shared_file {
 public:
  shared_file() : fd_(::memfd_create("test", 0)) {
    EXPECT_EQ(::ftruncate(fd_, 4096), 0);
    name_ = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_);
  }
  ~shared_file() { ::close(fd_); }
  shared_file(const shared_file&) = delete;
  shared_file& operator=(const shared_file&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int read() const {
    int value = 0;
    EXPECT_EQ(::pread(fd_, &value, sizeof value, 0), static_cast<ssize_t>(sizeof value));
    return value;
  }
  void write(int value) const {
    EXPECT_EQ(::pwrite(fd_, &value, sizeof value, 0), static_cast<ssize_t>(sizeof value));
  }
  /// False after 30 s.
  [[nodiscard]] bool becomes(int value) const {
    for (const auto end = clock::now() + 30s; clock::now() < end; std::this_thread::yield()) {
      if (read() == value)
        return true;
    }
    return false;
  }

 private:
  int fd_;
  std::string name_;
};

/// In a worker: adds one to the file's number; what it was.
int count_up(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  int value = 0;
  static_cast<void>(!::pread(fd, &value, sizeof value, 0));
  const int next = value + 1;
  static_cast<void>(!::pwrite(fd, &next, sizeof next, 0));
  ::close(fd);
  return value;
}

/// In a worker: waits until the file's number is zero.
void wait_for_zero(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  int value = 1;
  while (value != 0) {
    static_cast<void>(!::pread(fd, &value, sizeof value, 0));
    ::usleep(100);
  }
  ::close(fd);
}

// Member functions.

struct parser {
  std::string separator;
  int count = 0;

  std::vector<std::string> parse(std::string text) const {
    std::vector<std::string> parts;
    for (std::size_t at = 0; (at = text.find(separator)) != std::string::npos;) {
      parts.push_back(text.substr(0, at));
      text.erase(0, at + separator.size());
    }
    parts.push_back(text);
    return parts;
  }
  int next() noexcept { return ++count; }
  task<std::string> parse_later(std::string text) {
    co_await sleep(1ms);
    co_return text + separator;
  }
};

struct shape {
  virtual ~shape() = default;
  [[nodiscard]] virtual int corners() const { return 0; }
};
struct square : shape {
  int side = 1;
  [[nodiscard]] int corners() const override { return 4 * side; }
};

} // namespace
} // namespace fourfold

template <>
struct fourfold::codec<fourfold::square> {
  static void encode(encoder& out, const square& s) { out.write(s.side); }
  static square decode(decoder& in) {
    square s;
    s.side = in.read<int>();
    return s;
  }
};

namespace fourfold {
namespace {

TEST(process_call, member_functions_travel_with_their_object) {
  process_pool pool({.workers = 1});
  parser p{.separator = ","};
  EXPECT_EQ(pool.submit(&parser::parse, p, "a,b,c").get(30s), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(pool.submit(&parser::next, p).get(30s), 1);
  EXPECT_EQ(p.count, 0); // the copy there counts
  EXPECT_EQ(
      pool.submit(&parser::next, std::make_unique<parser>(parser{.separator = {}, .count = 6})).get(30s), 7);
  EXPECT_EQ(pool.submit(&parser::parse_later, p, "late").get(30s), "late,");
}

TEST(process_call, virtual_member_functions_are_those_of_the_object) {
  process_pool pool({.workers = 1});
  square s;
  s.side = 3;
  EXPECT_EQ(pool.submit(&shape::corners, s).get(30s), 12);
}

struct adder {
  int base;
  int operator()(int n) const { return base + n; }
};
struct later_adder {
  int base;
  task<int> operator()(int n) const {
    co_await sleep(1ms);
    co_return base + n;
  }
};

TEST(process_call, function_objects_and_coroutine_lambdas_carry_what_they_hold) {
  process_pool pool({.workers = 1});
  EXPECT_EQ(pool.submit(adder{40}, 2).get(30s), 42);
  EXPECT_EQ(pool.submit(later_adder{40}, 2).get(30s), 42);
  const std::string word = "word";
  auto repeat = [word](int n) -> task<std::string> {
    std::string all;
    for (int i = 0; i < n; ++i) {
      co_await yield();
      all += word;
    }
    co_return all;
  };
  static_assert(!encodable<decltype(repeat)>); // a string in a lambda has no codec; passed as argument it has
  auto with_argument = [](std::string w, int n) -> task<std::string> {
    co_await yield();
    std::string all;
    for (int i = 0; i < n; ++i)
      all += w;
    co_return all;
  };
  EXPECT_EQ(pool.submit(with_argument, word, 2).get(30s), "wordword");
}

struct holds_pointer {
  int* p;
};
int takes_pointer(int* p) { return *p; }
int takes_reference(int& n) { return ++n; }
holds_pointer gives_pointer() { return {nullptr}; }

TEST(process_call, what_cannot_travel_is_refused_when_compiling) {
  using detail::call_travels;
  static_assert(call_travels<int (*)(int, int), int, int>());
  static_assert(!call_travels<int (*)(int*), int*>(), "a pointer");
  static_assert(!call_travels<int (*)(int&), int&>(), "a reference that would bring something back");
  static_assert(!call_travels<holds_pointer (*)()>(), "a result with a pointer");
  static_assert(!call_travels<int (*)(int, int), int, std::string>(), "an argument of another type");
  static_assert(!call_travels<decltype(&parser::next), parser*>(), "the address of an object");
  static_assert(call_travels<decltype(&parser::next), parser>());
  int n = 0;
  auto by_reference = [&n] { return n; };
  static_assert(!call_travels<decltype(by_reference)>(), "a lambda that holds a reference");
  static_cast<void>(by_reference);
  static_cast<void>(&takes_pointer);
  static_cast<void>(&takes_reference);
  static_cast<void>(&gives_pointer);
}

// Priorities and the bound.

TEST(process_call, the_most_urgent_call_goes_first_and_equally_urgent_ones_in_order) {
  process_pool pool({.workers = 1});
  const shared_file gate;
  const shared_file counter;
  gate.write(1);
  future<void> first = pool.submit(wait_for_zero, gate.name());
  std::array<std::vector<future<int>>, priority_levels> results;
  for (int i = 0; i < 5; ++i) {
    for (const priority urgency : {priority::low, priority::normal, priority::high}) {
      results[static_cast<std::size_t>(urgency)].push_back(
          pool.submit({.priority = urgency}, count_up, counter.name()));
    }
  }
  gate.write(0);
  first.get(30s);
  for (std::size_t level = 0; level < priority_levels; ++level) {
    for (int i = 0; i < 5; ++i)
      EXPECT_EQ(results[level][static_cast<std::size_t>(i)].get(30s), static_cast<int>(level) * 5 + i);
  }
}

TEST(process_call, coroutines_at_their_bound_do_not_keep_functions_from_running) {
  process_pool pool({.workers = 1, .coroutines_per_worker = 1});
  auto endless = []() -> task<> { co_await sleep(1h); };
  future<void> first = pool.submit(endless);
  future<void> second = pool.submit(endless); // waits for the first one's place
  EXPECT_EQ(pool.submit(add, 1, 2).get(30s), 3);
  EXPECT_TRUE(second.cancel());
  EXPECT_TRUE(first.cancel());
}

TEST(process_call, a_bounded_queue_lets_submit_wait_for_room) {
  process_pool pool({.workers = 1, .queue_bound = 2});
  const shared_file gate;
  gate.write(1);
  std::vector<future<void>> accepted;
  accepted.push_back(pool.submit(wait_for_zero, gate.name()));
  while (auto one = pool.try_submit(nothing))
    accepted.push_back(std::move(*one));
  EXPECT_EQ(accepted.size(), 3U); // one runs, two wait
  EXPECT_THROW(pool.submit({.room = 1ms}, nothing), timed_out);
  cancellation_source source;
  std::jthread canceller([&] { source.request_cancellation(); });
  EXPECT_THROW(pool.submit({.room = source.token()}, nothing), cancelled);

  std::jthread submitter([&] { EXPECT_EQ(pool.submit({.room = 30s}, add, 1, 2).get(30s), 3); });
  auto coroutine = [&]() -> task<int> {
    future<int> sum = co_await pool.async_submit(add, 2, 2);
    co_return co_await std::move(sum);
  };
  std::jthread looper([&] { EXPECT_EQ(run(coroutine()), 4); });
  gate.write(0);
  submitter.join();
  looper.join();
  for (auto& one : accepted)
    one.get(30s);
  EXPECT_EQ(pool.statistics().submitted, 5U);
}

TEST(process_call, a_cancelled_call_makes_room_in_a_bounded_queue) {
  const shared_file gate; // outlives the pool, whose worker looks at it
  process_pool pool({.workers = 1, .queue_bound = 1});
  gate.write(1);
  future<void> running = pool.submit(wait_for_zero, gate.name());
  future<void> waiting = pool.submit(nothing);
  EXPECT_FALSE(pool.try_submit(nothing));
  EXPECT_TRUE(waiting.cancel());
  EXPECT_TRUE(pool.try_submit(nothing));
  gate.write(0);
}

TEST(process_call, who_waits_for_room_is_refused_when_the_pool_stops) {
  process_pool pool({.workers = 1, .queue_bound = 1});
  future<void> running = pool.submit(pause_for_ever);
  future<void> waiting = pool.submit(nothing);
  std::atomic<bool> begun = false;
  std::jthread submitter([&] {
    begun = true;
    EXPECT_THROW(pool.submit({.room = 30s}, nothing), pool_closed);
  });
  while (!begun)
    std::this_thread::yield();
  pool.stop();
  submitter.join();
}

TEST(process_call, a_cancelled_wait_for_room_submits_nothing) {
  process_pool pool({.workers = 1, .queue_bound = 1});
  future<void> running = pool.submit(pause_for_ever);
  future<void> waiting = pool.submit(nothing);
  auto attempt = [&]() -> task<> {
    auto one = [](process_pool& p) -> task<> { co_await p.async_submit(nothing); };
    co_await timeout(1ms, one(pool));
  };
  EXPECT_THROW(run(attempt()), timed_out);
  EXPECT_EQ(pool.statistics().submitted, 2U);
  pool.stop();
}

TEST(process_call, options_that_mean_nothing_are_refused) {
  EXPECT_THROW(process_pool({.workers = 1, .queue_bound = 0}), std::invalid_argument);
  EXPECT_THROW(process_pool({.workers = 1, .max_calls_per_worker = 0}), std::invalid_argument);
  EXPECT_THROW(process_pool({.workers = 1, .calls = {.room = 1s}}), std::invalid_argument);
}

// Retries.

int die_the_first_times(const std::string& counter, int times) {
  const int before = count_up(counter);
  if (before < times)
    ::raise(SIGKILL);
  return before;
}

TEST(process_call, one_that_is_repeatable_is_run_again_when_its_worker_dies) {
  process_pool pool({.workers = 1});
  const shared_file counter;
  EXPECT_EQ(pool.submit({.retries = 2}, die_the_first_times, counter.name(), 2).get(30s), 2);
  EXPECT_EQ(pool.statistics().retried, 2U);
  EXPECT_EQ(pool.statistics().failed_by_death, 0U);
}

TEST(process_call, one_that_is_repeatable_fails_after_so_many_deaths) {
  process_pool pool({.workers = 1, .calls = {.retries = 2}});
  const shared_file counter;
  EXPECT_THROW(pool.submit(die_the_first_times, counter.name(), 100).get(30s), worker_died);
  EXPECT_EQ(counter.read(), 3);
  EXPECT_EQ(pool.submit(add, 1, 1).get(30s), 2);
}

task<int> wait_at(std::string gate) {
  count_up(gate);
  const int fd = ::open(gate.c_str(), O_RDONLY | O_CLOEXEC);
  int value = 1;
  while (value != 0) {
    static_cast<void>(!::pread(fd, &value, sizeof value, 0));
    co_await sleep(1ms);
  }
  ::close(fd);
  co_return 7;
}

TEST(process_call, repeatable_coroutines_of_a_worker_that_dies_run_elsewhere_and_others_fail) {
  process_pool pool({.workers = 1});
  const shared_file gate;
  const shared_file other_gate;
  other_gate.write(1'000);
  gate.write(1'000);
  future<int> repeatable = pool.submit({.retries = 1}, wait_at, gate.name());
  future<int> other = pool.submit(wait_at, other_gate.name());
  ASSERT_TRUE(gate.becomes(1'001));
  ASSERT_TRUE(other_gate.becomes(1'001));
  EXPECT_THROW(pool.submit([] { ::raise(SIGKILL); }).get(30s), worker_died);
  EXPECT_THROW(other.get(30s), worker_died);
  ASSERT_TRUE(gate.becomes(1'002)); // it has begun again
  gate.write(0);
  EXPECT_EQ(repeatable.get(30s), 7);
}

// Cancelling what runs.

int run_until_told(const std::string& begun) {
  count_up(begun);
  while (!current_cancellation().cancellation_requested())
    ::usleep(100);
  return -1;
}
void wait_until_told(const std::string& begun) {
  count_up(begun);
  event never_set;
  never_set.wait(current_cancellation());
}
void ignore_everything(const std::string& begun) {
  count_up(begun);
  pause_for_ever();
}

TEST(process_call, a_running_function_is_told_by_its_token) {
  process_pool pool({.workers = 1});
  for (int round = 0; round < 20; ++round) {
    const shared_file begun;
    future<int> polls = pool.submit(run_until_told, begun.name());
    ASSERT_TRUE(begun.becomes(1));
    EXPECT_TRUE(polls.cancel());
    EXPECT_EQ(polls.get(30s), -1); // it may still give a result
    future<void> waits = pool.submit(wait_until_told, begun.name());
    ASSERT_TRUE(begun.becomes(2));
    EXPECT_TRUE(waits.cancel());
    EXPECT_THROW(waits.get(30s), cancelled);
  }
  EXPECT_FALSE(pool.submit([] { return current_cancellation().cancellation_requested(); }).get(30s));
  EXPECT_EQ(pool.statistics().workers_replaced, 0U);
}

TEST(process_call, a_function_that_does_not_heed_is_killed_after_the_grace_time) {
  process_pool pool({.workers = 1});
  const shared_file begun;
  future<void> deaf = pool.submit({.kill_after = 1ms}, ignore_everything, begun.name());
  future<int> behind = pool.submit(add, 1, 2);
  ASSERT_TRUE(begun.becomes(1));
  EXPECT_TRUE(deaf.cancel());
  EXPECT_THROW(deaf.get(30s), cancelled);
  EXPECT_EQ(behind.get(30s), 3);
  const auto statistics = pool.statistics();
  EXPECT_EQ(statistics.cancelled, 1U);
  EXPECT_EQ(statistics.failed_by_death, 0U);
  EXPECT_EQ(statistics.workers_replaced, 1U);
}

TEST(process_call, with_large_arguments_it_can_be_taken_back_too) {
  process_pool pool({.workers = 1});
  for (int i = 0; i < 50; ++i)
    pool.submit(add, i, i).get(30s); // short calls, so that several are handed out ahead
  const auto length = [](const std::string& text) { return text.size(); };
  for (int round = 0; round < 20; ++round) {
    std::vector<future<std::size_t>> all;
    std::vector<bool> taken_back;
    for (std::size_t i = 0; i < 6; ++i)
      all.push_back(pool.submit(length, std::string(100'000 + i, 'x')));
    for (std::size_t i = 0; i < 6; i += 2)
      static_cast<void>(all[i].cancel());
    for (std::size_t i = 0; i < 6; ++i) {
      try {
        EXPECT_EQ(all[i].get(30s), 100'000 + i);
      } catch (const cancelled&) {
        EXPECT_EQ(i % 2, 0U);
      }
    }
  }
}

// Time limits.

TEST(process_call, a_hard_time_limit_kills_the_worker_and_others_go_on) {
  process_pool pool({.workers = 1});
  future<void> endless = pool.submit({.time_limit = 20ms}, pause_for_ever);
  future<int> behind = pool.submit({.time_limit = 30s}, add, 1, 2);
  EXPECT_THROW(endless.get(30s), timed_out);
  EXPECT_EQ(behind.get(30s), 3);
  const auto statistics = pool.statistics();
  EXPECT_EQ(statistics.timed_out, 1U);
  EXPECT_EQ(statistics.workers_replaced, 1U);
  EXPECT_EQ(statistics.failed_by_death, 0U);
}

TEST(process_call, a_hard_time_limit_holds_for_a_coroutine_that_blocks_its_loop) {
  process_pool pool({.workers = 1});
  auto blocks = []() -> task<> {
    co_await yield();
    pause_for_ever();
  };
  EXPECT_THROW(pool.submit({.time_limit = 20ms}, blocks).get(30s), timed_out);
}

TEST(process_call, a_hard_time_limit_holds_for_a_worker_that_is_stopped) {
  process_pool pool({.workers = 1});
  auto stop_myself = [] { ::raise(SIGSTOP); };
  EXPECT_THROW(pool.submit({.time_limit = 20ms}, stop_myself).get(30s), timed_out);
  EXPECT_EQ(pool.submit(add, 1, 1).get(30s), 2);
}

TEST(process_call, a_soft_time_limit_tells_functions_and_coroutines) {
  process_pool pool({.workers = 1});
  const shared_file begun;
  EXPECT_THROW(pool.submit({.soft_time_limit = 10ms}, wait_until_told, begun.name()).get(30s), timed_out);
  EXPECT_EQ(pool.submit({.soft_time_limit = 10ms}, run_until_told, begun.name()).get(30s), -1);
  auto sleeps = []() -> task<> { co_await sleep(1h); };
  EXPECT_THROW(pool.submit({.soft_time_limit = 10ms}, sleeps).get(30s), timed_out);
  EXPECT_EQ(pool.statistics().workers_replaced, 0U);
}

TEST(process_call, a_soft_time_limit_is_followed_by_the_end_of_the_grace_time) {
  process_pool pool({.workers = 1});
  const shared_file begun;
  EXPECT_THROW(
      pool.submit({.soft_time_limit = 10ms, .kill_after = 10ms}, ignore_everything, begun.name()).get(30s),
      timed_out);
  EXPECT_EQ(pool.statistics().timed_out, 1U);
}

TEST(process_call, time_limits_do_not_count_the_wait_for_others) {
  process_pool pool({.workers = 1});
  const shared_file gate;
  gate.write(1);
  future<void> first = pool.submit(wait_for_zero, gate.name());
  std::vector<future<int>> limited;
  for (int i = 0; i < 5; ++i)
    limited.push_back(pool.submit({.time_limit = 10s}, add, i, 1));
  gate.write(0);
  first.get(30s);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(limited[static_cast<std::size_t>(i)].get(30s), i + 1);
}

TEST(process_call, a_time_limit_reaches_a_coroutine_that_awaits_on_a_loop) {
  process_pool pool({.workers = 1});
  auto waits = [&]() -> task<bool> {
    try {
      co_await pool.submit({.time_limit = 20ms}, pause_for_ever);
    } catch (const timed_out&) {
      co_return true;
    }
    co_return false;
  };
  EXPECT_TRUE(run(waits()));
}

TEST(process_call, the_coroutines_that_shared_a_killed_worker_fail_and_repeatable_ones_run_again) {
  process_pool pool({.workers = 1});
  const shared_file gate;
  const shared_file other_gate;
  gate.write(1'000);
  other_gate.write(1'000);
  future<int> repeatable = pool.submit({.retries = 1}, wait_at, gate.name());
  future<int> other = pool.submit(wait_at, other_gate.name());
  ASSERT_TRUE(gate.becomes(1'001));
  ASSERT_TRUE(other_gate.becomes(1'001));
  EXPECT_THROW(pool.submit({.time_limit = 20ms}, pause_for_ever).get(30s), timed_out);
  EXPECT_THROW(other.get(30s), worker_died);
  ASSERT_TRUE(gate.becomes(1'002));
  gate.write(0);
  EXPECT_EQ(repeatable.get(30s), 7);
}

} // namespace
} // namespace fourfold
