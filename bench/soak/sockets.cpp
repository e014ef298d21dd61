#include "soak/soak.hpp"

#include <fourfold/base/unique_fd.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace soak {
namespace {

using fourfold::task;
using fourfold::tcp_stream;

// The first byte of a connection says what the server is to do.
constexpr std::string_view echo_mode = "e";
constexpr std::string_view deaf_mode = "d"; // never reads, for some time

bool lost(const std::system_error& failure) {
  return failure.code() == std::errc::connection_reset || failure.code() == std::errc::broken_pipe ||
         failure.code() == std::errc::operation_canceled;
}

task<> echo(tcp_stream& peer) {
  std::vector<char> buffer(16 * 1024);
  char mode = 0;
  if (co_await peer.read_some(std::span(&mode, 1)) == 0)
    co_return;
  if (mode == deaf_mode[0]) {
    co_await fourfold::sleep(30ms);
    co_return;
  }
  check(mode == echo_mode[0], "a connection began with another byte");
  while (const std::size_t size = co_await peer.read_some(buffer))
    co_await peer.write_all(std::string_view(buffer.data(), size));
}

task<> serve_one(run_state& state, tcp_stream peer) {
  tally& counted = state.counts.served;
  counted.begin();
  try {
    co_await echo(peer);
    counted.end(ending::finished);
  } catch (const std::system_error& failure) {
    check(lost(failure), "a server's connection failed in another way");
    counted.end(ending::failed);
  } catch (const fourfold::cancelled&) {
    counted.end(ending::cancelled);
    throw;
  }
}

task<> serve(run_state& state, fourfold::tcp_listener& listener, fourfold::task_group& connections) {
  try {
    for (;;)
      connections.spawn(serve_one(state, co_await listener.accept()));
  } catch (const std::system_error& failure) {
    check(failure.code() == std::errc::operation_canceled, "accept failed, and its listener was not closed");
  }
}

task<tcp_stream> connect(std::uint16_t port, std::string_view mode) {
  auto stream = co_await tcp_stream::connect(fourfold::ip_endpoint::loopback(port));
  co_await stream.write_all(mode);
  co_return stream;
}

// Differs from one connection to the next, so that another one's bytes would be noticed.
std::string message(random_engine& random, std::size_t size) {
  std::string text(size, '\0');
  std::uint64_t bits = random();
  for (char& c : text) {
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(bits >> 56);
  }
  return text;
}

task<std::string> read_exactly(tcp_stream& from, std::size_t size) {
  std::string text(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const std::size_t got = co_await from.read_some(std::span(text).subspan(have));
    check(got > 0, "an echo ended early");
    have += got;
  }
  co_return text;
}

task<ending> small_messages(std::uint16_t port, random_engine& random) {
  auto server = co_await connect(port, echo_mode);
  for (std::uint64_t i = below(random, 50); i > 0; --i) {
    const std::string text = message(random, 1 + below(random, 200));
    co_await server.write_all(text);
    check(co_await read_exactly(server, text.size()) == text, "an echo had other bytes");
  }
  co_return ending::finished;
}

task<> write_and_end(tcp_stream& to, std::string_view text) {
  co_await to.write_all(text);
  to.shutdown_write();
}

task<ending> large_message(std::uint16_t port, random_engine& random) {
  auto server = co_await connect(port, echo_mode);
  const std::string text = message(random, 1 + below(random, 512 * 1024));
  auto both = fourfold::gather(write_and_end(server, text), read_exactly(server, text.size()));
  auto [sent, answer] = co_await std::move(both);
  check(answer == text, "a large echo had other bytes");
  char more = 0;
  check(co_await server.read_some(std::span(&more, 1)) == 0, "a half-closed connection had more bytes");
  co_return ending::finished;
}

task<ending> abrupt_close(std::uint16_t port, random_engine& random) {
  auto server = co_await connect(port, echo_mode);
  co_await server.write_all(message(random, 1 + below(random, 64 * 1024)));
  const linger reset{.l_onoff = 1, .l_linger = 0};
  check(::setsockopt(server.native_handle(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0, "setsockopt");
  server.close();
  co_return ending::finished;
}

task<ending> read_limit(std::uint16_t port, random_engine& random) {
  auto server = co_await connect(port, echo_mode);
  std::array<char, 64> buffer;
  bool passed = false;
  try {
    auto reading =
        fourfold::timeout(std::chrono::microseconds(below(random, 3'000)), server.read_some(buffer));
    co_await std::move(reading);
  } catch (const fourfold::timed_out&) {
    passed = true;
  }
  check(passed, "a read got bytes that nobody sent");
  const std::string text = message(random, 100);
  co_await server.write_all(text);
  check(co_await read_exactly(server, text.size()) == text, "a read that was ended by its limit lost bytes");
  co_return ending::failed;
}

task<ending> write_limit(std::uint16_t port, random_engine&) {
  auto server = co_await connect(port, deaf_mode);
  static const std::string text(16u << 20, 'w'); // more than the kernel buffers
  bool passed = false;
  try {
    co_await fourfold::timeout(3ms, server.write_all(text));
  } catch (const fourfold::timed_out&) {
    passed = true;
  } catch (const std::system_error& failure) { // its end went before the limit, on a busy machine
    check(lost(failure), "a write failed in another way");
    passed = true;
  }
  check(passed, "a write was finished that nobody read");
  co_return ending::failed;
}

task<ending> closed_while_reading(std::uint16_t port, random_engine& random) {
  auto server = co_await connect(port, echo_mode);
  std::array<char, 64> buffer;
  auto reading = fourfold::spawn(server.read_some(buffer));
  for (std::uint64_t i = 1 + below(random, 4); i > 0; --i)
    co_await fourfold::yield();
  server.close();
  bool ended = false;
  try {
    co_await reading;
  } catch (const std::system_error& failure) {
    ended = failure.code() == std::errc::operation_canceled;
  }
  check(ended, "a read outlived its connection");
  co_return ending::cancelled;
}

// To a port that is taken and does not listen.
task<ending> refused(std::uint16_t, random_engine&) {
  const fourfold::unique_fd deaf(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto anywhere = fourfold::ip_endpoint::loopback(0);
  check(deaf && ::bind(deaf.get(), anywhere.data(), anywhere.size()) == 0, "bind");
  bool told = false;
  try {
    co_await tcp_stream::connect(fourfold::ip_endpoint::of_socket(deaf.get()));
  } catch (const std::system_error& failure) {
    told = failure.code() == std::errc::connection_refused;
  }
  check(told, "a connection nobody listens for was not refused");
  co_return ending::failed;
}

task<> client(run_state& state, std::uint16_t port, std::uint64_t seed) {
  constexpr std::array acts{small_messages, large_message, abrupt_close,        read_limit,
                            write_limit,    refused,       closed_while_reading};
  random_engine random(seed);
  state.counts.clients.begin();
  state.counts.clients.end(co_await acts[below(random, acts.size())](port, random));
}

} // namespace

task<> serve_round(run_state& state, random_engine& random) {
  fourfold::tcp_listener listener(fourfold::ip_endpoint::loopback(0));
  const std::uint64_t how_it_ends = below(random, 3);
  auto body = [&](fourfold::task_group& group) -> task<> {
    group.spawn(serve(state, listener, group));
    std::vector<task<>> clients;
    for (std::uint64_t i = 1 + below(random, 8); i > 0; --i)
      clients.push_back(client(state, listener.port(), random()));
    co_await fourfold::gather(std::move(clients));
    if (how_it_ends != 0)
      listener.close(); // accept() ends, connections go on to their own ends
    if (how_it_ends != 1)
      group.cancel();
  };
  co_await fourfold::with_task_group(body);
}

} // namespace soak
