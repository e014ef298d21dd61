// B15 and B16, Boost.Asio with coroutines: one awaitable a connection.
#include "../support/echo_server.hpp"
#include "asio_tcp.hpp"

#include <cstddef>
#include <memory>
#include <utility>

namespace {

using namespace asio_loop;

awaitable<> echo(asio_loop::socket stream, std::size_t size) {
  const auto memory = std::make_unique_for_overwrite<char[]>(size);
  try {
    for (;;) {
      const std::size_t n = co_await stream.async_read_some(asio::buffer(memory.get(), size), use_awaitable);
      co_await asio::async_write(stream, asio::buffer(memory.get(), n), use_awaitable);
    }
  } catch (const boost::system::system_error&) {
    // The peer has gone, or ended its side.
  }
}

awaitable<> serve(acceptor& listener, std::size_t buffer) {
  for (;;) {
    asio_loop::socket stream = co_await listener.async_accept(use_awaitable);
    stream.set_option(tcp::no_delay(true));
    asio::co_spawn(listener.get_executor(), echo(std::move(stream), buffer), asio::detached);
  }
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  echo_server::raise_descriptor_limit();
  context loop;
  acceptor listener(loop.get_executor(), tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  listener.listen(echo_server::backlog);
  echo_server::announce(listener.local_endpoint().port());
  asio::co_spawn(loop.get_executor(), serve(listener, options.buffer), asio::detached);
  loop.run();
}
