// B01, Boost.Asio: 200 coroutines, each `co_await post(executor, use_awaitable)`.
#include "../support/measure.hpp"
#include "asio_loop.hpp"

#include <cstdint>

namespace {

using namespace asio_loop;

constexpr std::uint64_t tasks = 200;

awaitable<> take_turns(executor where, std::uint64_t turns, std::uint64_t* taken) {
  for (std::uint64_t i = 0; i < turns; ++i) {
    co_await asio::post(where, use_awaitable);
    ++*taken;
  }
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  const double ns = measure::nanoseconds_per_unit(
      options.seconds,
      [](std::uint64_t count) {
        std::uint64_t taken = 0;
        context loop;
        const executor where = loop.get_executor();
        for (std::uint64_t i = 0; i < tasks; ++i)
          asio::co_spawn(where, take_turns(where, count / tasks, &taken), asio::detached);
        loop.run();
        measure::require(taken == count, "not every task took every turn");
      },
      tasks);
  measure::print({{"ns", ns}});
}
