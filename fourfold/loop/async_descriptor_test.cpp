#include <fourfold/base/errors.hpp>
#include <fourfold/loop/async_descriptor.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

std::array<int, 2> socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::system_error(errno, std::generic_category(), "socketpair");
  }
  return ends;
}

/// Two connected descriptors on this thread's loop.
struct connected {
  connected() : connected(socket_pair()) {}
  explicit connected(std::array<int, 2> ends) : a(ends[0]), b(ends[1]) {}
  async_descriptor a;
  async_descriptor b;
};

task<std::string> receive_some(async_descriptor& from) {
  std::array<std::byte, 64> buffer{};
  const std::size_t count = co_await from.receive(buffer);
  co_return std::string(reinterpret_cast<const char*>(buffer.data()), count);
}

task<> send_text(async_descriptor& to, std::string text) {
  std::span<const std::byte> rest = std::as_bytes(std::span(text));
  while (!rest.empty())
    rest = rest.subspan(co_await to.send(rest));
}

TEST(async_descriptor, what_is_sent_is_received_whoever_comes_first) {
  auto body = []() -> task<> {
    connected c;
    co_await send_text(c.a, "there already");
    EXPECT_EQ(co_await receive_some(c.b), "there already");
    future<std::string> early = spawn(receive_some(c.b));
    co_await test::let_others_run();
    EXPECT_FALSE(early.ready());
    co_await send_text(c.a, "later");
    EXPECT_EQ(co_await early, "later");
    c.a.close();
    EXPECT_FALSE(c.a.is_open());
    EXPECT_EQ(c.a.native_handle(), -1);
    EXPECT_EQ(co_await receive_some(c.b), "") << "the end of the stream";
  };
  run(body());
}

TEST(async_descriptor, second_operation_in_the_same_direction_is_an_error_and_the_first_is_unharmed) {
  auto body = []() -> task<> {
    connected c;
    future<std::string> first = spawn(receive_some(c.b));
    co_await yield();
    future<std::string> second = spawn(receive_some(c.b));
    try {
      co_await second;
      ADD_FAILURE();
    } catch (const error&) {
    }
    co_await send_text(c.b, "other direction");
    EXPECT_EQ(co_await receive_some(c.a), "other direction");
    co_await send_text(c.a, "first");
    EXPECT_EQ(co_await first, "first");
  };
  run(body());
}

TEST(async_descriptor, cancelled_operation_is_withdrawn_and_loses_nothing) {
  auto body = []() -> task<> {
    connected c;
    for (int i = 0; i < 20; ++i) {
      try {
        co_await timeout(50us, receive_some(c.b));
        ADD_FAILURE();
      } catch (const timed_out&) {
      }
    }
    co_await send_text(c.a, "kept");
    EXPECT_EQ(co_await receive_some(c.b), "kept");
  };
  run(body());
}

TEST(async_descriptor, close_ends_a_waiting_operation) {
  auto body = []() -> task<> {
    connected c;
    future<std::string> waiting = spawn(receive_some(c.b));
    co_await test::let_others_run();
    c.b.close();
    try {
      co_await waiting;
      ADD_FAILURE();
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::operation_canceled);
    }
    try {
      co_await receive_some(c.b);
      ADD_FAILURE();
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::bad_file_descriptor);
    }
  };
  run(body());
}

TEST(async_descriptor, failed_operation_carries_the_system_s_error) {
  auto body = []() -> task<> {
    connected c;
    c.a.close();
    try {
      co_await send_text(c.b, "nobody listens");
      ADD_FAILURE();
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::broken_pipe);
    }
  };
  run(body());
}

TEST(async_descriptor, of_a_kind_that_cannot_wait_or_outside_of_a_loop_is_an_error_and_is_closed) {
  const int outside = ::eventfd(0, EFD_CLOEXEC);
  EXPECT_THROW(async_descriptor{outside}, wrong_thread);
  EXPECT_EQ(::fcntl(outside, F_GETFD), -1);
  auto body = []() -> task<> {
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    EXPECT_THROW(async_descriptor{file}, std::system_error);
    EXPECT_EQ(::fcntl(file, F_GETFD), -1);
    EXPECT_THROW(async_descriptor{-1}, std::system_error);
    co_return;
  };
  run(body());
}

TEST(async_descriptor, readable_waits_for_an_eventfd_rung_by_another_thread) {
  auto body = []() -> task<> {
    async_descriptor bell(::eventfd(0, EFD_CLOEXEC));
    for (int i = 0; i < 100; ++i) {
      std::jthread ringer([fd = bell.native_handle()] {
        const std::uint64_t one = 1;
        EXPECT_EQ(::write(fd, &one, sizeof one), static_cast<ssize_t>(sizeof one));
      });
      co_await bell.readable();
      std::uint64_t count = 0;
      EXPECT_EQ(::read(bell.native_handle(), &count, sizeof count), static_cast<ssize_t>(sizeof count));
      EXPECT_EQ(count, 1U);
    }
  };
  run(body());
}

TEST(async_descriptor, more_than_the_socket_holds_goes_through_with_back_pressure) {
  constexpr std::size_t size = 4 << 20;
  auto receive_all = [](async_descriptor& from) -> task<std::size_t> {
    std::vector<std::byte> buffer(1 << 16);
    std::size_t total = 0;
    while (const std::size_t count = co_await from.receive(buffer)) {
      for (std::size_t i = 0; i < count; ++i) {
        if (buffer[i] != static_cast<std::byte>((total + i) % 251))
          throw error("a byte out of order");
      }
      total += count;
    }
    co_return total;
  };
  auto send_all = [](async_descriptor& to) -> task<> {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i)
      text[i] = static_cast<char>(i % 251);
    co_await send_text(to, std::move(text));
    to.close();
  };
  auto body = [](auto& send, auto& receive) -> task<std::size_t> {
    connected c;
    auto [sent, received] = co_await gather(send(c.a), receive(c.b));
    co_return received;
  };
  EXPECT_EQ(run(body(send_all, receive_all)), size);
}

task<> play(async_descriptor& own, int rounds, bool serve) {
  for (int i = 0; i < rounds; ++i) {
    if (serve || i > 0)
      co_await send_text(own, "ball");
    EXPECT_EQ(co_await receive_some(own), "ball");
    if (!serve && i == rounds - 1)
      co_await send_text(own, "ball");
  }
}

task<> spin(std::atomic<bool>& stop) {
  while (!stop)
    co_await yield();
}

TEST(async_descriptor, ready_tasks_do_not_starve_sockets) {
  auto body = []() -> task<> {
    std::atomic<bool> stop{false};
    std::vector<future<void>> busy;
    for (int i = 0; i < 100; ++i)
      busy.push_back(spawn(spin(stop)));
    connected c;
    co_await gather(play(c.a, 50, true), play(c.b, 50, false));
    stop = true;
    for (auto& b : busy)
      co_await b;
  };
  run(body());
}

TEST(async_descriptor, busy_sockets_do_not_starve_tasks_timers_or_posts) {
  auto chatter = [](std::atomic<bool>& stop) -> task<> {
    connected c;
    while (!stop)
      co_await gather(play(c.a, 10, true), play(c.b, 10, false));
  };
  auto body = [](auto& chat) -> task<> {
    std::atomic<bool> stop{false};
    std::vector<future<void>> chatting;
    for (int i = 0; i < 20; ++i)
      chatting.push_back(spawn(chat(stop)));
    for (int i = 0; i < 10; ++i) {
      co_await sleep(100us);
      co_await test::let_others_run();
      event posted;
      std::jthread poster([&posted, &l = loop::current()] { l.post([&posted] { posted.set(); }); });
      co_await posted.async_wait();
    }
    stop = true;
    for (auto& f : chatting)
      co_await f;
  };
  run(body(chatter));
}

TEST(async_descriptor, used_on_another_loop_is_an_error) {
  test::loop_thread other;
  auto use = [](async_descriptor& d) -> task<bool> {
    try {
      co_await d.readable();
    } catch (const wrong_thread&) {
      co_return true;
    }
    co_return false;
  };
  auto body = [](loop& elsewhere, auto& try_it) -> task<> {
    connected c;
    future<bool> refused = elsewhere.submit(try_it, std::ref(c.a));
    EXPECT_TRUE(co_await refused);
  };
  run(body(*other, use));
}

TEST(async_descriptor, closed_and_its_waiter_cancelled_in_one_turn_is_no_use_after_free) {
  auto main = []() -> task<> {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    std::optional<async_descriptor> reading(async_descriptor{ends[0]});
    auto body = [&](task_group& group) -> task<> {
      auto wait = [](async_descriptor& d) -> task<> { co_await d.readable(); };
      group.spawn(wait(*reading));
      co_await test::let_others_run();
      reading->close();
      group.cancel();
    };
    try {
      co_await with_task_group(body);
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::operation_canceled);
    }
    ::close(ends[1]);
  };
  run(main());
}

} // namespace
} // namespace fourfold
