// A TCP server and ten clients, as coroutines on one loop. The server ends when the last client has.
#include <fourfold/fourfold.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

fourfold::task<> echo(fourfold::tcp_stream peer) {
  std::array<char, 1024> buffer;
  for (;;) {
    const std::size_t size = co_await peer.read_some(buffer);
    if (size == 0)
      co_return; // the client has ended its side
    co_await peer.write_all(std::string_view(buffer.data(), size));
  }
}

fourfold::task<> serve(fourfold::tcp_listener& listener, fourfold::task_group& connections) {
  for (;;)
    connections.spawn(echo(co_await listener.accept()));
}

fourfold::task<std::string> ask(std::uint16_t port, std::string question) {
  auto server = co_await fourfold::tcp_stream::connect(fourfold::ip_endpoint::loopback(port));
  co_await server.write_all(question);
  server.shutdown_write();
  std::string answer;
  std::array<char, 1024> buffer;
  for (;;) {
    const std::size_t size = co_await server.read_some(buffer);
    if (size == 0)
      co_return answer;
    answer.append(buffer.data(), size);
  }
}

fourfold::task<int> program() {
  fourfold::tcp_listener listener(fourfold::ip_endpoint::loopback(0)); // the kernel chooses a port
  int answered = 0;
  auto body = [&](fourfold::task_group& group) -> fourfold::task<> {
    group.spawn(serve(listener, group));
    std::vector<fourfold::task<std::string>> clients;
    for (int i = 0; i < 10; ++i)
      clients.push_back(ask(listener.port(), "question " + std::to_string(i)));
    const auto answers = co_await fourfold::timeout(5s, fourfold::gather(std::move(clients)));
    for (std::size_t i = 0; i < answers.size(); ++i)
      answered += answers[i] == "question " + std::to_string(i) ? 1 : 0;
    group.cancel(); // ends the server's accept() and whatever connection is left
  };
  co_await fourfold::with_task_group(body);
  co_return answered;
}

} // namespace

int main() {
  const int answered = fourfold::run(program());
  std::printf("%d of 10 clients got their own words back\n", answered);
  return answered == 10 ? 0 : 1;
}
