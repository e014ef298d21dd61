// B21, Boost.Asio: the frame of an awaitable, and the objects like ours.
#include "../support/measure.hpp"
#include "asio_tcp.hpp"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

std::size_t asked = 0;

asio_loop::awaitable<int> leaf(int x) { co_return x; }

} // namespace

void* operator new(std::size_t size) {
  asked = size;
  if (void* block = std::malloc(size))
    return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }

int main() {
  const auto never_started = leaf(1);
  measure::require(asked != 0, "no memory was asked for");
  // Asio adds one byte to each block, for its own size.
  measure::print({{"leaf", static_cast<double>(asked - 1)},
                  {"loop", static_cast<double>(sizeof(asio_loop::asio::io_context))},
                  {"tcp_stream", static_cast<double>(sizeof(asio_loop::socket))},
                  {"tcp_listener", static_cast<double>(sizeof(asio_loop::acceptor))}});
}
