#include <fourfold/base/errors.hpp>
#include <fourfold/io/tcp.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <system_error>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

task<std::string> read_all(tcp_stream& stream) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    const std::size_t n = co_await stream.read_some(std::span<char>(buffer));
    if (n == 0)
      co_return text;
    text.append(buffer.data(), n);
  }
}

task<> echo(tcp_stream stream) {
  std::array<char, 4096> buffer{};
  for (;;) {
    const std::size_t n = co_await stream.read_some(std::span<char>(buffer));
    if (n == 0)
      break;
    co_await stream.write_all(std::string_view(buffer.data(), n));
  }
}

task<> echo_server(tcp_listener& listener, int connections) {
  auto body = [&](task_group& group) -> task<> {
    for (int i = 0; i < connections; ++i)
      group.spawn(echo(co_await listener.accept()));
  };
  co_await with_task_group(body);
}

task<std::string> echo_client(std::uint16_t port, std::string text) {
  tcp_stream stream = co_await tcp_stream::connect(ip_endpoint::loopback(port));
  auto send = [](tcp_stream& s, std::string_view all) -> task<> {
    co_await s.write_all(all);
    s.shutdown_write();
  };
  auto [nothing, answer] = co_await gather(send(stream, text), read_all(stream));
  co_return answer;
}

TEST(tcp, a_hundred_connections_are_echoed_at_once) {
  auto main = []() -> task<> {
    tcp_listener listener(ip_endpoint::loopback(0));
    auto clients = [](std::uint16_t port) -> task<> {
      std::vector<task<std::string>> all;
      for (int i = 0; i < 100; ++i)
        all.push_back(echo_client(port, std::string(static_cast<std::size_t>(i) * 997, 'x')));
      const auto answers = co_await gather(std::move(all));
      for (std::size_t i = 0; i < 100; ++i)
        EXPECT_EQ(answers[i], std::string(i * 997, 'x'));
    };
    co_await gather(echo_server(listener, 100), clients(listener.port()));
  };
  run(main());
}

TEST(tcp, back_pressure_holds_a_writer_until_the_reader_reads) {
  auto main = []() -> task<> {
    tcp_listener listener(ip_endpoint::loopback(0));
    auto [server, client] =
        co_await gather(listener.accept(), tcp_stream::connect(ip_endpoint::loopback(listener.port())));
    const std::string large(32 * 1024 * 1024, 'y');
    bool written = false;
    auto write = [&]() -> task<> {
      co_await client.write_all(large);
      client.shutdown_write();
      written = true;
    };
    auto read = [&]() -> task<std::size_t> {
      for (int i = 0; i < 100; ++i)
        co_await yield();
      EXPECT_FALSE(written);
      co_return (co_await read_all(server)).size();
    };
    auto [nothing, size] = co_await gather(write(), read());
    EXPECT_EQ(size, large.size());
  };
  run(main());
}

TEST(tcp, a_timeout_ends_a_read_and_the_connection_stays_usable) {
  auto main = []() -> task<> {
    tcp_listener listener(ip_endpoint::loopback(0));
    auto [server, client] =
        co_await gather(listener.accept(), tcp_stream::connect(ip_endpoint::loopback(listener.port())));
    bool ended = false;
    auto first = read_all(server);
    try {
      co_await timeout(5ms, std::move(first));
    } catch (const timed_out&) {
      ended = true;
    }
    EXPECT_TRUE(ended);
    co_await client.write_all("still here");
    client.shutdown_write();
    EXPECT_EQ(co_await read_all(server), "still here");
  };
  run(main());
}

TEST(tcp, a_refused_connection_is_a_system_error) {
  auto main = []() -> task<int> {
    std::uint16_t port = 0;
    {
      tcp_listener listener(ip_endpoint::loopback(0));
      port = listener.port();
    }
    try {
      co_await tcp_stream::connect(ip_endpoint::loopback(port));
    } catch (const std::system_error& e) {
      co_return e.code().value();
    }
    co_return 0;
  };
  EXPECT_EQ(run(main()), ECONNREFUSED);
}

TEST(tcp, a_port_that_is_taken_is_a_system_error) {
  auto main = []() -> task<> {
    tcp_listener first(ip_endpoint::loopback(0));
    try {
      tcp_listener second(ip_endpoint::loopback(first.port()));
      ADD_FAILURE() << "the second listener was bound";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::address_in_use);
    }
    co_return;
  };
  run(main());
}

TEST(tcp, closing_ends_a_wait_and_a_second_reader_is_an_error) {
  auto main = []() -> task<> {
    tcp_listener listener(ip_endpoint::loopback(0));
    auto [server, client] =
        co_await gather(listener.accept(), tcp_stream::connect(ip_endpoint::loopback(listener.port())));
    future<std::string> first = spawn(read_all(server));
    for (int i = 0; i < 10; ++i) // it reads, in any order of readiness
      co_await yield();
    std::array<char, 1> byte{};
    bool refused = false;
    try {
      co_await server.read_some(std::span<char>(byte));
    } catch (const error&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
    server.close();
    try {
      co_await first;
      ADD_FAILURE() << "the read went on";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::operation_canceled);
    }
  };
  run(main());
}

TEST(tcp, a_stream_that_outlives_its_loop_can_be_destroyed) {
  auto main = []() -> task<tcp_listener> { co_return tcp_listener(ip_endpoint::loopback(0)); };
  const tcp_listener escaped = run(main());
  EXPECT_GT(escaped.port(), 0);
}

TEST(ip_endpoint, reads_numeric_addresses_of_both_families_and_refuses_names) {
  EXPECT_EQ(ip_endpoint::parse("192.0.2.7", 80).to_string(), "192.0.2.7:80");
  EXPECT_EQ(ip_endpoint::parse("::1", 443).to_string(), "[::1]:443");
  EXPECT_THROW(static_cast<void>(ip_endpoint::parse("localhost", 1)), std::invalid_argument);
}

} // namespace
} // namespace fourfold
