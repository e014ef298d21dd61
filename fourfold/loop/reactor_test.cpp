#include <fourfold/base/errors.hpp>
#include <fourfold/base/unique_fd.hpp>
#include <fourfold/loop/async_descriptor.hpp>
#include <fourfold/loop/detail/reactor.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

/// Two connected stream sockets; the second is used by plain system calls.
struct stream_ends {
  unique_fd ours;
  unique_fd theirs;
};

stream_ends stream_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
    throw std::system_error(errno, std::generic_category(), "socketpair");
  return {unique_fd(ends[0]), unique_fd(ends[1])};
}

/// Byte number `at` of the stream that the tests send.
std::byte pattern(std::size_t at) { return static_cast<std::byte>((at * 7 + at / 251) & 0xff); }

std::vector<std::byte> pattern_bytes(std::size_t from, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i)
    bytes[i] = pattern(from + i);
  return bytes;
}

/// Sends the pattern from byte `from` on until the socket takes no more or `limit` is reached; how many it took.
std::size_t stuff(int fd, std::size_t from, std::size_t limit) {
  const auto bytes = pattern_bytes(from, limit);
  std::size_t sent = 0;
  while (sent < limit) {
    const ssize_t some =
        ::send(fd, bytes.data() + sent, std::min<std::size_t>(limit - sent, 3000), MSG_DONTWAIT);
    if (some <= 0)
      break;
    sent += static_cast<std::size_t>(some);
  }
  return sent;
}

/// (g++ 12 takes no braced list inside of a co_await expression.)
template <class... Size>
std::vector<std::size_t> in_turn(Size... sizes) {
  return {static_cast<std::size_t>(sizes)...};
}

/// Takes `sizes` in turn until `total` bytes of the pattern from byte `from` on have come.
task<> expect_pattern(async_descriptor& in, std::size_t from, std::size_t total,
                      std::vector<std::size_t> sizes) {
  std::size_t seen = 0;
  for (std::size_t turn = 0; seen < total; ++turn) {
    std::vector<std::byte> buffer(std::min(sizes[turn % sizes.size()], total - seen));
    const std::size_t count = co_await in.receive(buffer);
    if (count == 0) {
      ADD_FAILURE() << "ended after " << seen;
      co_return;
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (buffer[i] != pattern(from + seen + i)) {
        ADD_FAILURE() << "byte " << from + seen + i;
        co_return;
      }
    }
    seen += count;
  }
}

std::size_t drain(int fd) {
  std::array<std::byte, 65536> buffer{};
  std::size_t drained = 0;
  for (;;) {
    const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count <= 0)
      return drained;
    drained += static_cast<std::size_t>(count);
  }
}

task<> receive_nothing(async_descriptor& in) {
  std::array<std::byte, 16> buffer{};
  try {
    co_await in.receive(buffer);
    ADD_FAILURE() << "there was nothing to receive";
  } catch (const cancelled&) {
    throw;
  }
}

TEST(reactor, what_comes_before_it_is_asked_for_is_received_in_order_by_reads_of_any_size) {
  auto body = []() -> task<> {
    auto [ours, theirs] = stream_pair();
    async_descriptor in(ours.release());
    std::size_t at = 0;
    for (int round = 0; round < 30; ++round) {
      // A small read that waits first, so that something is asked of the kernel already.
      auto read_one = [](async_descriptor& from, std::size_t number) -> task<> {
        co_await expect_pattern(from, number, 1, in_turn(1));
      };
      future<void> first = spawn(read_one(in, at));
      co_await test::let_others_run();
      const std::size_t sent = stuff(theirs.get(), at, 100'000);
      EXPECT_GT(sent, 1U);
      co_await first;
      co_await expect_pattern(in, at + 1, sent - 1, in_turn(1, 64, 5000, 2048, 100'000, 7));
      at += sent;
    }
  };
  run(body());
}

TEST(reactor, the_end_and_a_failure_come_after_what_was_sent_before_them) {
  auto body = []() -> task<> {
    auto [ours, theirs] = stream_pair();
    async_descriptor in(ours.release());
    try {
      co_await timeout(1us, receive_nothing(in));
    } catch (const timed_out&) {
    }
    EXPECT_EQ(stuff(theirs.get(), 0, 5000), 5000U);
    theirs.reset();
    co_await expect_pattern(in, 0, 5000, in_turn(100));
    std::array<std::byte, 16> buffer{};
    EXPECT_EQ(co_await in.receive(buffer), 0U);
    EXPECT_EQ(co_await in.receive(buffer), 0U) << "the end stays";
  };
  run(body());
}

TEST(reactor, more_readers_than_the_kernel_has_buffers_for_all_get_theirs) {
  constexpr std::size_t readers = 400;
  auto body = []() -> task<> {
    std::vector<async_descriptor> in;
    std::vector<unique_fd> out;
    std::vector<task<>> reads;
    for (std::size_t i = 0; i < readers; ++i) {
      auto [ours, theirs] = stream_pair();
      in.emplace_back(ours.release());
      out.push_back(std::move(theirs));
    }
    reads.reserve(readers + 1);
    for (async_descriptor& one : in)
      reads.push_back(expect_pattern(one, 0, 6000, in_turn(2000)));
    auto send_all = [](std::vector<unique_fd>& to) -> task<> {
      co_await test::let_others_run();
      for (unique_fd& one : to)
        EXPECT_EQ(stuff(one.get(), 0, 6000), 6000U);
    };
    reads.push_back(send_all(out));
    co_await gather(std::move(reads));
  };
  run(body());
}

TEST(reactor, a_send_that_waits_can_be_cancelled_and_no_byte_is_lost_or_doubled) {
  auto body = []() -> task<> {
    auto [ours, theirs] = stream_pair();
    async_descriptor out(ours.release());
    const auto bytes = pattern_bytes(0, 50'000);
    std::size_t sent = 0;
    int cancelled_sends = 0;
    auto send_one = [](async_descriptor& to, std::span<const std::byte> some) -> task<std::size_t> {
      co_return co_await to.send(some);
    };
    while (cancelled_sends < 5) {
      try {
        sent += co_await timeout(200us, send_one(out, bytes));
      } catch (const timed_out&) {
        ++cancelled_sends;
      }
    }
    EXPECT_EQ(drain(theirs.get()), sent);
  };
  run(body());
}

TEST(reactor, a_waiting_send_goes_on_when_there_is_room) {
  auto body = []() -> task<> {
    auto [ours, theirs] = stream_pair();
    async_descriptor out(ours.release());
    auto send_all = [](async_descriptor& to, std::size_t count) -> task<> {
      const auto bytes = pattern_bytes(0, count);
      std::span<const std::byte> rest = bytes;
      while (!rest.empty())
        rest = rest.subspan(co_await to.send(rest));
    };
    constexpr std::size_t total = 3'000'000;
    future<void> sender = spawn(send_all(out, total));
    async_descriptor in(theirs.release());
    co_await expect_pattern(in, 0, total, in_turn(10'000, 1000));
    co_await sender;
  };
  run(body());
}

TEST(reactor, closing_ends_every_kind_of_wait) {
  auto body = []() -> task<> {
    for (const bool large : {false, true}) {
      auto [ours, theirs] = stream_pair();
      async_descriptor both(ours.release());
      auto receive = [](async_descriptor& from, std::size_t size) -> task<int> {
        std::vector<std::byte> buffer(size);
        try {
          co_await from.receive(buffer);
        } catch (const std::system_error& e) {
          co_return e.code().value();
        }
        co_return 0;
      };
      auto send = [](async_descriptor& to) -> task<int> {
        const std::vector<std::byte> bytes(100'000);
        try {
          for (;;)
            co_await to.send(bytes);
        } catch (const std::system_error& e) {
          co_return e.code().value();
        }
      };
      future<int> receiving = spawn(receive(both, large ? 100'000 : 10));
      future<int> sending = spawn(send(both));
      co_await test::let_others_run();
      both.close();
      EXPECT_EQ(co_await receiving, ECANCELED);
      EXPECT_EQ(co_await sending, ECANCELED);
      std::array<std::byte, 1000> rest{};
      drain(theirs.get());
      EXPECT_EQ(::recv(theirs.get(), rest.data(), rest.size(), 0), 0) << "the descriptor is closed";
    }
  };
  run(body());
}

TEST(reactor, a_loop_may_run_on_another_thread_next_time_and_its_descriptors_lose_nothing) {
  std::optional<async_descriptor> in;
  auto [ours, theirs] = stream_pair();
  loop l;
  auto first = [](std::optional<async_descriptor>& made, int fd) -> task<> {
    made.emplace(fd);
    try {
      co_await timeout(1us, receive_nothing(*made));
    } catch (const timed_out&) {
    }
  };
  l.run(first(in, ours.release()));
  EXPECT_EQ(stuff(theirs.get(), 0, 9000), 9000U);
  auto second = [](async_descriptor& from, std::size_t at) -> task<> {
    co_await expect_pattern(from, at, 4500, in_turn(100, 4000));
  };
  std::jthread([&] { l.run(second(*in, 0)); }).join();
  std::jthread([&] { l.run(second(*in, 4500)); }).join();
  in.reset();
}

/// A listening socket on loopback.
struct listening {
  listening() : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(fd.get(), generic(), size) != 0 || ::listen(fd.get(), 512) != 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::system_error(errno, std::generic_category(), "listening");
    }
  }
  [[nodiscard]] const sockaddr* generic() const { return reinterpret_cast<const sockaddr*>(&address); }
  [[nodiscard]] unique_fd connect() const {
    unique_fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(client.get(), generic(), sizeof address) != 0)
      throw std::system_error(errno, std::generic_category(), "connect");
    return client;
  }
  unique_fd fd;
  sockaddr_in address{};
};

task<int> accept_one(async_descriptor& listener) {
  try {
    co_return static_cast<int>(co_await listener.accept());
  } catch (const std::system_error& e) {
    co_return -e.code().value();
  }
}

TEST(reactor, connections_that_come_while_nobody_accepts_are_all_accepted_later) {
  auto body = []() -> task<> {
    listening at;
    async_descriptor listener(::dup(at.fd.get()));
    std::vector<unique_fd> clients;
    clients.push_back(at.connect());
    std::vector<unique_fd> served;
    served.emplace_back(co_await accept_one(listener));
    for (int i = 0; i < 200; ++i) {
      clients.push_back(at.connect());
      co_await yield();
    }
    co_await sleep(1ms);
    while (served.size() < clients.size()) {
      const int fd = co_await accept_one(listener);
      if (fd < 0) {
        ADD_FAILURE() << std::generic_category().message(-fd);
        co_return;
      }
      served.emplace_back(fd);
    }
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const char byte = 'x';
      char answer = 0;
      EXPECT_EQ(::send(served[i].get(), &byte, 1, 0), 1);
      EXPECT_EQ(::recv(clients[i].get(), &answer, 1, 0), 1) << "in the order of connecting";
    }
  };
  run(body());
}

TEST(reactor, a_closed_listener_leaves_its_port_at_once) {
  auto body = []() -> task<> {
    listening at;
    async_descriptor listener(at.fd.release());
    future<int> waiting = spawn(accept_one(listener));
    co_await test::let_others_run();
    co_await sleep(1ms);
    listener.close();
    const unique_fd again(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(again.get(), at.generic(), sizeof at.address), 0)
        << std::generic_category().message(errno);
    EXPECT_EQ(::listen(again.get(), 1), 0) << std::generic_category().message(errno);
    EXPECT_EQ(co_await waiting, -ECANCELED);
  };
  run(body());
}

TEST(reactor, running_out_of_descriptors_is_an_error_of_that_accept_and_passes) {
  // UndefinedBehaviorSanitizer needs a descriptor for its first look at a type, here and in accept_once().
  EXPECT_EQ(std::system_error(EMFILE, std::generic_category()).code(), std::errc::too_many_files_open);
  auto accept_once = []() -> task<> {
    listening at;
    async_descriptor listener(::dup(at.fd.get()));
    const unique_fd client = at.connect();
    const unique_fd served(co_await accept_one(listener));
  };
  run(accept_once());
  auto body = []() -> task<> {
    listening at;
    async_descriptor listener(::dup(at.fd.get()));
    const unique_fd client = at.connect();
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    rlimit none = before;
    none.rlim_cur = 3;
    ::setrlimit(RLIMIT_NOFILE, &none);
    const int refused = co_await accept_one(listener);
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(refused, -EMFILE);
    const unique_fd served(co_await accept_one(listener));
    EXPECT_GE(served.get(), 0);
  };
  run(body());
}

TEST(reactor, a_refused_connection_is_an_error_and_a_cancelled_one_ends) {
  auto body = []() -> task<> {
    sockaddr_in nobody{};
    {
      const listening at;
      nobody = at.address;
    }
    auto connect = [](const sockaddr_in& to) -> task<int> {
      async_descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      try {
        co_await socket.connect(reinterpret_cast<const sockaddr*>(&to), sizeof to);
        co_return 0;
      } catch (const std::system_error& e) {
        co_return e.code().value();
      }
    };
    EXPECT_EQ(co_await connect(nobody), ECONNREFUSED);

    // A listener whose queue is full lets further connections hang.
    listening at;
    ::listen(at.fd.get(), 0);
    std::vector<unique_fd> fillers;
    for (int i = 0; i < 3; ++i) {
      fillers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      ::connect(fillers.back().get(), at.generic(), sizeof at.address);
    }
    try {
      co_await timeout(5ms, connect(at.address));
      ADD_FAILURE() << "connected to a full queue";
    } catch (const timed_out&) {
    }
  };
  run(body());
}

/// Runs `f` with FOURFOLD_REACTOR as given (null: unset).
template <class F>
void with_reactor_named(const char* name, F f) {
  const char* found = std::getenv("FOURFOLD_REACTOR");
  const std::optional<std::string> before =
      found != nullptr ? std::optional<std::string>(found) : std::nullopt;
  name != nullptr ? ::setenv("FOURFOLD_REACTOR", name, 1) : ::unsetenv("FOURFOLD_REACTOR");
  f();
  before ? ::setenv("FOURFOLD_REACTOR", before->c_str(), 1) : ::unsetenv("FOURFOLD_REACTOR");
}

TEST(reactor, is_the_one_that_the_environment_names_and_no_other) {
  with_reactor_named("epoll", [] { EXPECT_STREQ(loop().reactor()->name(), "epoll"); });
  with_reactor_named("kqueue", [] {
    try {
      const loop l;
      ADD_FAILURE();
    } catch (const error& e) {
      EXPECT_THAT(e.what(), testing::HasSubstr("kqueue"));
    }
  });
}

/// From now on, in this process, the kernel answers EPERM to io_uring_setup(2), as many containers do.
void forbid_io_uring() {
  std::array<sock_filter, 4> program{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  sock_fprog filter{.len = program.size(), .filter = program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    throw std::system_error(errno, std::generic_category(), "seccomp");
}

TEST(reactor_death_test, falls_back_where_the_kernel_forbids_io_uring) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto in_a_sandbox = [] {
    forbid_io_uring();
    int status = 1;
    with_reactor_named(nullptr, [&] {
      loop l;
      auto body = []() -> task<int> {
        auto [ours, theirs] = stream_pair();
        async_descriptor in(ours.release());
        stuff(theirs.get(), 0, 10);
        co_await expect_pattern(in, 0, 10, in_turn(10));
        co_return 0;
      };
      status = std::string_view(l.reactor()->name()) == "epoll" ? l.run(body()) : 2;
    });
    with_reactor_named("io_uring", [&] {
      try {
        const loop l;
        status = 3;
      } catch (const std::system_error&) { // it was asked for by name
      }
    });
    std::_Exit(status);
  };
  EXPECT_EXIT(in_a_sandbox(), testing::ExitedWithCode(0), "");
}

} // namespace
} // namespace fourfold
