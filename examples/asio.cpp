// A Boost.Asio io_context on a thread of its own, and its operations awaited on a Fourfold loop: two ends of one
// connection, one of each library, with time limits around both; and a call of Fourfold that Asio waits for.
#include "from_asio.hpp"

#include <fourfold/fourfold.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

namespace {

int failures = 0;

void expect(bool right, const char* sentence) {
  std::printf("%s: %s\n", right ? "yes" : "NO", sentence);
  failures += right ? 0 : 1;
}

fourfold::task<tcp::socket> accept(asio::io_context& context, tcp::acceptor& acceptor) {
  auto start = [&](auto handler) { acceptor.async_accept(std::move(handler)); };
  return from_asio<tcp::socket>(context, start, [&] { acceptor.cancel(); });
}

fourfold::task<std::size_t> read_some(asio::io_context& context, tcp::socket& socket,
                                      std::span<char> buffer) {
  auto start = [&socket, buffer](auto handler) {
    socket.async_read_some(asio::buffer(buffer.data(), buffer.size()), std::move(handler));
  };
  return from_asio<std::size_t>(context, start, [&socket] { socket.cancel(); });
}

fourfold::task<std::size_t> write_all(asio::io_context& context, tcp::socket& socket, std::string_view text) {
  auto start = [&socket, text](auto handler) {
    asio::async_write(socket, asio::buffer(text), std::move(handler));
  };
  return from_asio<std::size_t>(context, start, [&socket] { socket.cancel(); });
}

fourfold::task<> wait_for(asio::io_context& context, asio::steady_timer& timer) {
  auto start = [&](auto handler) { timer.async_wait(std::move(handler)); };
  return from_asio<void>(context, start, [&] { timer.cancel(); });
}

// Asio's end: what it reads goes back, until the other end has ended its side. Returns how much that was.
fourfold::task<std::size_t> echo(asio::io_context& context, tcp::acceptor& acceptor) {
  tcp::socket peer = co_await accept(context, acceptor);
  std::array<char, 4096> buffer;
  bool silent = false;
  try {
    co_await fourfold::timeout(20ms, read_some(context, peer, buffer));
  } catch (const fourfold::timed_out&) {
    silent = true; // the read is over, down to Asio's handler: buffer and socket are free again
  }
  expect(silent, "a time limit ended a read of Asio's");
  co_await write_all(context, peer, "ready");
  std::size_t total = 0;
  for (;;) {
    std::size_t size = 0;
    try {
      size = co_await read_some(context, peer, buffer);
    } catch (const std::system_error& end) {
      expect(end.code() == std::error_code(boost::system::error_code(asio::error::eof)),
             "the end of the stream is an error of Asio's");
      co_return total;
    }
    co_await write_all(context, peer, std::string_view(buffer.data(), size));
    total += size;
  }
}

fourfold::task<> send(fourfold::tcp_stream& server, std::string_view text) {
  co_await server.write_all(text);
  server.shutdown_write();
}

fourfold::task<std::string> receive(fourfold::tcp_stream& server) {
  std::string all;
  std::array<char, 4096> buffer;
  while (const std::size_t size = co_await server.read_some(buffer))
    all.append(buffer.data(), size);
  co_return all;
}

// Our end.
fourfold::task<std::string> ask(std::uint16_t port, std::string_view question) {
  auto server = co_await fourfold::tcp_stream::connect(fourfold::ip_endpoint::loopback(port));
  std::array<char, 5> greeting;
  std::size_t greeted = 0;
  while (greeted < greeting.size())
    greeted += co_await server.read_some(std::span(greeting).subspan(greeted));
  auto both = fourfold::gather(send(server, question), receive(server));
  auto [sent, answer] = co_await std::move(both);
  co_return answer;
}

fourfold::task<> both_ends(asio::io_context& context) {
  tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  const std::string question(300'000, 'q');
  auto ends = fourfold::gather(echo(context, acceptor), ask(acceptor.local_endpoint().port(), question));
  auto [echoed, answer] = co_await fourfold::timeout(10s, std::move(ends));
  expect(echoed == question.size() && answer == question, "each byte went to Asio and came back");
}

fourfold::task<> timers(asio::io_context& context) {
  asio::steady_timer timer(context, 10ms);
  const auto begin = fourfold::clock::now();
  auto both = fourfold::gather(wait_for(context, timer), fourfold::sleep(10ms));
  co_await std::move(both);
  expect(fourfold::clock::now() - begin >= 10ms, "a timer of Asio's and a sleep of ours, side by side");

  timer.expires_after(1h);
  auto first = fourfold::race(wait_for(context, timer), fourfold::sleep(1ms));
  expect((co_await std::move(first)).index() == 1, "the loser of a race was cancelled");
}

fourfold::task<> errors(asio::io_context& context) {
  tcp::acceptor taken(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  tcp::socket socket(context);
  const tcp::endpoint nobody = taken.local_endpoint();
  taken.close();
  auto start = [&](auto handler) { socket.async_connect(nobody, std::move(handler)); };
  auto connect = from_asio<void>(context, start, [&] { socket.cancel(); });
  bool refused = false;
  try {
    co_await std::move(connect);
  } catch (const std::system_error& failure) {
    refused = failure.code() == std::errc::connection_refused;
  }
  expect(refused, "a failed operation threw std::system_error");
}

int square(int n) { return n * n; }

// Asio waits for a thread pool: the handler runs on Asio's thread.
fourfold::task<> other_direction(asio::io_context& context) {
  fourfold::thread_pool pool({.threads = 1});
  const auto asio_thread_id = co_await submit(context, [] { return std::this_thread::get_id(); });
  fourfold::promise<bool> seen;
  auto right = seen.get_future();
  then_on(context.get_executor(), pool.submit(square, 7), [&](fourfold::future<int> result) {
    seen.set_value(result.get() == 49 && std::this_thread::get_id() == asio_thread_id);
  });
  expect(co_await right, "a handler on Asio's thread got the result of a call in a pool");
}

fourfold::task<> program() {
  asio_thread background;
  co_await both_ends(background.context());
  co_await timers(background.context());
  co_await errors(background.context());
  co_await other_direction(background.context());
}

} // namespace

int main() {
  fourfold::run(program());
  return failures;
}
