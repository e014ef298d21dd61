// B21, Boost.Asio: a coroutine that waits and says something, with the headers that it needs.
#include <utility> // Boost 1.74 forgets it

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstdio>

namespace {

namespace asio = boost::asio;

asio::awaitable<void> hello() {
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(1));
  co_await timer.async_wait(asio::use_awaitable);
  std::puts("hello");
}

} // namespace

int main() {
  asio::io_context loop;
  asio::co_spawn(loop, hello(), asio::detached);
  loop.run();
}
