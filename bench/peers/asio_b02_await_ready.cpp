// B02, Boost.Asio: `co_await` of an awaitable that never suspends on the loop.
#include "../support/measure.hpp"
#include "asio_loop.hpp"

#include <cstdint>

namespace {

using namespace asio_loop;

[[gnu::noinline]] awaitable<std::uint64_t> child(std::uint64_t value) { co_return value + 1; }

awaitable<> parent(std::uint64_t count, std::uint64_t* result) {
  std::uint64_t value = 0;
  for (std::uint64_t i = 0; i < count; ++i)
    value = co_await child(value);
  *result = value;
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  const double ns = measure::nanoseconds_per_unit(options.seconds, [](std::uint64_t count) {
    std::uint64_t result = 0;
    context loop;
    asio::co_spawn(loop.get_executor(), parent(count, &result), asio::detached);
    loop.run();
    measure::require(result == count, "a child did not run");
  });
  measure::print({{"ns", ns}});
}
