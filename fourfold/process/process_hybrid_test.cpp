// Coroutines on workers' loops: their sockets and timers, and what cancellations and crashes do to them.

#include <fourfold/base/errors.hpp>
#include <fourfold/base/sanitizers.hpp>
#include <fourfold/io/tcp.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/process/shared_value.hpp>
#include <fourfold/sync/event.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

/// A server in the program, on a loop of its own: answers each line with the line.
class echo_server {
 public:
  echo_server() : thread_([this] { run(serve()); }) { port_ready_.wait(); }
  ~echo_server() {
    stop_.set();
    thread_.join();
  }
  echo_server(const echo_server&) = delete;
  echo_server& operator=(const echo_server&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// How many clients are connected becomes so; false after 30 s.
  [[nodiscard]] bool has_clients(int count) const {
    for (const auto end = clock::now() + 30s; clock::now() < end; std::this_thread::yield()) {
      if (clients_ == count)
        return true;
    }
    return false;
  }

 private:
  task<> serve() {
    tcp_listener listener(ip_endpoint::loopback(0));
    port_ = listener.port();
    port_ready_.set();
    auto serve_all = [this, &listener](task_group& group) -> task<> {
      group.spawn(accept_all(listener, group));
      co_await stop_.async_wait();
      group.cancel();
    };
    co_await with_task_group(serve_all);
  }
  task<> accept_all(tcp_listener& listener, task_group& group) {
    for (;;)
      group.spawn(answer(co_await listener.accept()));
  }
  task<> answer(tcp_stream peer) {
    ++clients_;
    std::array<char, 256> buffer{};
    try {
      while (const std::size_t size = co_await peer.read_some(std::span(buffer)))
        co_await peer.write_all(std::string_view(buffer.data(), size));
    } catch (const std::system_error&) { // NOLINT(bugprone-empty-catch): a client that was killed
    }
    --clients_;
  }

  std::uint16_t port_ = 0;
  std::atomic<int> clients_ = 0;
  event port_ready_;
  event stop_;
  std::thread thread_;
};

task<std::string> ask(std::uint16_t port, std::string question) {
  tcp_stream server = co_await tcp_stream::connect(ip_endpoint::loopback(port));
  co_await sleep(5ms);
  co_await server.write_all(question);
  std::string answer;
  std::array<char, 64> buffer{};
  while (answer.size() < question.size()) {
    const std::size_t size = co_await server.read_some(std::span(buffer));
    if (size == 0)
      throw std::runtime_error("the server has gone");
    answer.append(buffer.data(), size);
  }
  co_return answer;
}

/// Connects and waits for what never comes.
task<> hang_on(std::uint16_t port) {
  tcp_stream server = co_await tcp_stream::connect(ip_endpoint::loopback(port));
  std::array<char, 64> buffer{};
  static_cast<void>(co_await server.read_some(std::span(buffer)));
}

TEST(process_hybrid, sockets_and_timers_work_on_a_workers_loop_many_at_once) {
  const echo_server server;
  process_pool pool({.workers = 2, .coroutines_per_worker = 30});
  std::vector<future<std::string>> answers;
  for (int i = 0; i < 200; ++i)
    answers.push_back(pool.submit(ask, server.port(), "question " + std::to_string(i)));
  for (int i = 0; i < 200; ++i)
    EXPECT_EQ(answers[static_cast<std::size_t>(i)].get(60s), "question " + std::to_string(i));
}

TEST(process_hybrid, a_cancelled_coroutine_closes_its_socket_in_the_worker) {
  const echo_server server;
  process_pool pool({.workers = 1});
  std::vector<future<void>> hanging;
  for (int i = 0; i < 10; ++i)
    hanging.push_back(pool.submit(hang_on, server.port()));
  ASSERT_TRUE(server.has_clients(10));
  for (auto& one : hanging)
    EXPECT_TRUE(one.cancel());
  for (auto& one : hanging)
    EXPECT_THROW(one.get(30s), cancelled);
  EXPECT_TRUE(server.has_clients(0));
  EXPECT_EQ(pool.statistics().workers_replaced, 0U);
}

TEST(process_hybrid, a_time_limit_on_a_loop_reaches_the_coroutine_in_the_worker) {
  const echo_server server;
  process_pool pool({.workers = 1});
  auto limited = [&]() -> task<> {
    auto one = [](process_pool& p, std::uint16_t port) -> task<> { co_await p.submit(hang_on, port); };
    co_await timeout(50ms, one(pool, server.port()));
  };
  EXPECT_THROW(run(limited()), timed_out);
  EXPECT_TRUE(server.has_clients(0));
}

TEST(process_hybrid, a_crash_fails_the_coroutines_of_that_worker_and_only_those) {
  const echo_server server;
  process_pool pool({.workers = 2});
  auto wait_here = [](std::uint16_t port) -> task<pid_t> {
    tcp_stream peer = co_await tcp_stream::connect(ip_endpoint::loopback(port));
    const pid_t pid = ::getpid();
    co_await peer.write_all(std::string(reinterpret_cast<const char*>(&pid), sizeof pid));
    std::array<char, sizeof(pid_t)> buffer{};
    static_cast<void>(co_await peer.read_some(std::span(buffer)));
    static_cast<void>(co_await peer.read_some(std::span(buffer))); // never comes
    co_return pid;
  };
  std::vector<future<pid_t>> waiting;
  for (int i = 0; i < 20; ++i)
    waiting.push_back(pool.submit(wait_here, server.port()));
  ASSERT_TRUE(server.has_clients(20));
  pid_t dead = 0;
  try {
    pool.submit([] { ::raise(SIGSEGV); }).get(30s);
    FAIL();
  } catch (const worker_died& e) {
    dead = e.pid();
  }
  int failed = 0;
  int cancelled_ones = 0;
  for (auto& one : waiting)
    static_cast<void>(one.cancel()); // those that live
  for (auto& one : waiting) {
    try {
      one.get(30s);
      ADD_FAILURE();
    } catch (const worker_died& e) {
      EXPECT_EQ(e.pid(), dead);
      ++failed;
    } catch (const cancelled&) {
      ++cancelled_ones;
    }
  }
  EXPECT_EQ(failed, 10); // they were spread evenly
  EXPECT_EQ(cancelled_ones, 10);
  EXPECT_EQ(pool.submit(ask, server.port(), "still there?").get(30s), "still there?");
}

task<std::string> large_after_counting(shared_value<int> begun) {
  ++*begun.lock();
  co_await yield();
  co_return std::string(70'000, 'a');
}

TEST(process_hybrid, coroutines_go_on_though_nobody_takes_their_large_results) {
  shared_value<int> begun(0);
  process_pool pool({.workers = 1});
  std::vector<future<std::string>> results;
  for (int i = 0; i < 600; ++i)
    results.push_back(pool.submit(large_after_counting, begun));
  for (const auto end = clock::now() + 50s; begun.get() < 600 && clock::now() < end;)
    std::this_thread::yield();
  EXPECT_EQ(begun.get(), 600);
  for (auto& result : results)
    EXPECT_EQ(result.get(60s).size(), 70'000U);
}

task<std::size_t> size_of(std::vector<char> bytes) { co_return bytes.size(); }
task<int> until_set(shared_value<int> go) {
  while (go.get() == 0)
    co_await sleep(1ms);
  co_return 7;
}

TEST(process_hybrid, an_argument_that_there_is_no_memory_for_fails_that_call_alone) {
  if (under_address_sanitizer || under_thread_sanitizer)
    GTEST_SKIP() << "a sanitizer's allocator ends the process where others throw";
  shared_value<int> go(0);
  process_pool pool({.workers = 1, .sandbox = sandbox_options{.memory_bytes = 64 << 20}});
  auto other = pool.submit(until_set, go);
  auto large = pool.submit(size_of, std::vector<char>(200 << 20));
  EXPECT_ANY_THROW(large.get(60s));
  go.set(1);
  EXPECT_EQ(other.get(60s), 7);
}

TEST(process_hybrid, coroutines_that_are_cancelled_before_they_begin_end_in_whatever_order_a_loop_runs) {
  const char* const present = std::getenv("FOURFOLD_SHUFFLE");
  const std::string before = present != nullptr ? present : "";
  ::setenv("FOURFOLD_SHUFFLE", "7", 1); // for the workers
  process_pool pool({.workers = 1});
  const shared_value<int> never(0);
  for (int round = 0; round < 1'000; ++round) {
    std::vector<future<int>> calls;
    for (int i = 0; i < 3; ++i)
      calls.push_back(pool.submit(until_set, never));
    // So that now and then the worker has taken one, and its loop has not begun it.
    const auto end = clock::now() + std::chrono::microseconds(round % 50);
    while (clock::now() < end) {
    }
    for (auto& call : calls)
      call.cancel();
    for (auto& call : calls)
      EXPECT_THROW(call.get(60s), cancelled);
  }
  if (present != nullptr) {
    ::setenv("FOURFOLD_SHUFFLE", before.c_str(), 1);
  } else {
    ::unsetenv("FOURFOLD_SHUFFLE");
  }
}

} // namespace
} // namespace fourfold
