// B15 and B16: an echo server, one coroutine a connection. support/echo_load.cpp starts it and measures.
#include "support/echo_server.hpp"

#include <fourfold/io/tcp.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/task_group.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

namespace {

fourfold::task<> echo(fourfold::tcp_stream stream, std::size_t size) {
  const auto memory = std::make_unique_for_overwrite<std::byte[]>(size);
  const std::span buffer(memory.get(), size);
  try {
    while (const std::size_t n = co_await stream.read_some(buffer))
      co_await stream.write_all(buffer.first(n));
  } catch (const std::system_error&) {
    // The peer has gone; so does this connection, alone.
  }
}

fourfold::task<> accept_all(fourfold::task_group& connections, std::size_t buffer) {
  fourfold::tcp_listener listener(fourfold::ip_endpoint::loopback(0), echo_server::backlog);
  echo_server::announce(listener.port());
  for (;;)
    connections.spawn(echo(co_await listener.accept(), buffer));
}

fourfold::task<> serve(std::size_t buffer) {
  auto body = [buffer](fourfold::task_group& connections) { return accept_all(connections, buffer); };
  co_await fourfold::with_task_group(body);
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  echo_server::raise_descriptor_limit();
  fourfold::run(serve(options.buffer));
}
