#include <fourfold/base/errors.hpp>
#include <fourfold/loop/async_descriptor.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

struct pair_of_fds {
  int first;
  int second;
};

pair_of_fds socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw std::system_error(errno, std::generic_category(), "socketpair");
  return {ends[0], ends[1]};
}

void write_now(int fd, std::string_view text) {
  EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

task<std::string> receive_some(async_descriptor& from) {
  std::array<std::byte, 64> buffer{};
  const std::size_t count = co_await from.receive(buffer);
  co_return std::string(reinterpret_cast<const char*>(buffer.data()), count);
}

task<> until_readable(async_descriptor& d) { co_await d.readable(); }

/// Sends until `limit` bytes are gone; more than any socket holds, it waits in between.
task<std::size_t> send_bytes(async_descriptor& to, std::size_t limit) {
  const std::vector<std::byte> bytes(1 << 16);
  std::size_t total = 0;
  while (total < limit)
    total += co_await to.send(std::span(bytes).first(std::min(bytes.size(), limit - total)));
  co_return total;
}

task<std::size_t> receive_bytes(async_descriptor& from, std::size_t limit) {
  std::vector<std::byte> buffer(1 << 16);
  std::size_t total = 0;
  while (total < limit)
    total += co_await from.receive(buffer);
  co_return total;
}

constexpr std::size_t more_than_it_holds = 4 << 20;

TEST(async_descriptor, waits_in_both_directions_at_once_and_each_goes_on_by_itself) {
  auto body = []() -> task<> {
    const pair_of_fds ends = socket_pair();
    async_descriptor a(ends.first);
    async_descriptor b(ends.second);
    future<std::size_t> sending = spawn(send_bytes(a, more_than_it_holds));
    future<std::string> receiving = spawn(receive_some(a));
    co_await test::let_others_run();
    EXPECT_FALSE(sending.ready());
    EXPECT_FALSE(receiving.ready());
    write_now(b.native_handle(), "one way");
    EXPECT_EQ(co_await receiving, "one way");
    EXPECT_FALSE(sending.ready());
    EXPECT_EQ(co_await receive_bytes(b, more_than_it_holds), more_than_it_holds);
    EXPECT_EQ(co_await sending, more_than_it_holds);
  };
  run(body());
}

TEST(async_descriptor, cancelled_wait_in_one_direction_leaves_the_other_waiting) {
  auto body = []() -> task<> {
    const pair_of_fds ends = socket_pair();
    async_descriptor a(ends.first);
    async_descriptor b(ends.second);
    future<std::size_t> sending = spawn(send_bytes(a, more_than_it_holds));
    future<std::string> receiving = spawn(receive_some(a));
    co_await test::let_others_run();
    EXPECT_TRUE(sending.cancel());
    try {
      co_await sending;
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
    EXPECT_FALSE(receiving.ready());
    write_now(b.native_handle(), "still here");
    EXPECT_EQ(co_await receiving, "still here");
  };
  run(body());
}

TEST(async_descriptor, peer_that_goes_away_ends_the_waits_in_both_directions) {
  auto ended = [](future<std::size_t>& sending, future<std::string>& receiving) -> task<> {
    try {
      co_await sending;
      ADD_FAILURE();
    } catch (const std::system_error&) {
    }
    try {
      EXPECT_EQ(co_await receiving, "");
    } catch (const std::system_error&) {
    }
  };
  auto body = [](auto& both) -> task<> {
    const pair_of_fds ends = socket_pair();
    async_descriptor a(ends.first);
    async_descriptor b(ends.second);
    future<std::size_t> sending = spawn(send_bytes(a, more_than_it_holds));
    future<std::string> receiving = spawn(receive_some(a));
    co_await test::let_others_run();
    b.close();
    co_await both(sending, receiving);
  };
  run(body(ended));
}

// The kernel gives the lowest free number, so the new pair has the old one's numbers.
TEST(async_descriptor, whose_number_was_used_before_hears_nothing_of_its_predecessor) {
  auto body = []() -> task<> {
    for (int round = 0; round < 20; ++round) {
      pair_of_fds ends = socket_pair();
      {
        async_descriptor old(ends.first);
        future<std::string> waiting = spawn(receive_some(old));
        co_await test::let_others_run();
        write_now(ends.second, "for the old one");
        old.close(); // an event is on its way to it
        try {
          co_await waiting;
        } catch (const std::system_error&) {
        }
      }
      ::close(ends.second);
      const int number = ends.first;
      ends = socket_pair();
      EXPECT_EQ(ends.first, number);
      async_descriptor a(ends.first);
      future<void> waiting = spawn(until_readable(a));
      co_await sleep(10us); // the loop has looked at its descriptors
      EXPECT_FALSE(waiting.ready());
      write_now(ends.second, "x");
      co_await waiting;
      ::close(ends.second);
    }
  };
  run(body());
}

TEST(async_descriptor, closed_by_the_task_that_became_ready_with_it_is_no_harm) {
  auto wait_and_close = [](async_descriptor& own, async_descriptor& other) -> task<> {
    try {
      co_await own.readable();
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::operation_canceled);
    }
    other.close();
  };
  auto body = [](auto& each) -> task<> {
    for (int round = 0; round < 20; ++round) {
      const pair_of_fds x = socket_pair();
      const pair_of_fds y = socket_pair();
      async_descriptor a(x.first);
      async_descriptor b(y.first);
      future<void> first = spawn(each(a, b));
      future<void> second = spawn(each(b, a));
      co_await test::let_others_run();
      write_now(x.second, "x");
      write_now(y.second, "y");
      co_await first;
      co_await second;
      EXPECT_FALSE(a.is_open());
      EXPECT_FALSE(b.is_open());
      ::close(x.second);
      ::close(y.second);
    }
  };
  run(body(wait_and_close));
}

TEST(async_descriptor, readable_ends_when_the_last_writer_of_a_pipe_has_gone) {
  auto body = []() -> task<> {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    async_descriptor reading(ends[0]);
    future<void> waiting = spawn(until_readable(reading));
    co_await test::let_others_run();
    EXPECT_FALSE(waiting.ready());
    ::close(ends[1]);
    co_await waiting;
    char byte = 0;
    EXPECT_EQ(::read(reading.native_handle(), &byte, 1), 0);
    co_await reading.readable(); // the end stays readable
  };
  run(body());
}

TEST(async_descriptor, readable_waits_for_an_epoll_descriptor) {
  auto body = []() -> task<> {
    const int inner = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event registration{.events = EPOLLIN, .data = {.fd = inner}};
    EXPECT_EQ(::epoll_ctl(set, EPOLL_CTL_ADD, inner, &registration), 0);
    async_descriptor watched = async_descriptor::to_watch(set);
    future<void> waiting = spawn(until_readable(watched));
    co_await test::let_others_run();
    EXPECT_FALSE(waiting.ready());
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(inner, &one, sizeof one), static_cast<ssize_t>(sizeof one));
    co_await waiting;
    watched.close();
    ::close(inner);
  };
  run(body());
}

TEST(async_descriptor, moved_while_nobody_waits_goes_on_under_its_new_name) {
  auto body = []() -> task<> {
    const pair_of_fds ends = socket_pair();
    async_descriptor a(ends.first);
    async_descriptor b(ends.second);
    async_descriptor moved = std::move(a);
    EXPECT_FALSE(a.is_open()); // NOLINT(bugprone-use-after-move)
    future<std::string> waiting = spawn(receive_some(moved));
    co_await test::let_others_run();
    write_now(b.native_handle(), "found");
    EXPECT_EQ(co_await waiting, "found");
    moved = std::move(b); // closes the one it was
    EXPECT_EQ(co_await receive_some(moved), "");
  };
  run(body());
}

TEST(async_descriptor, that_outlives_its_loop_cannot_be_awaited_and_can_be_closed) {
  const pair_of_fds ends = socket_pair();
  std::optional<async_descriptor> kept;
  auto keep = [](std::optional<async_descriptor>& to, int fd) -> task<> {
    to.emplace(fd);
    co_return;
  };
  run(keep(kept, ends.first));
  EXPECT_TRUE(kept->is_open());
  EXPECT_THROW(run(until_readable(*kept)), wrong_thread);
  kept.reset();
  EXPECT_EQ(::fcntl(ends.first, F_GETFD), -1);
  ::close(ends.second);
}

} // namespace
} // namespace fourfold
