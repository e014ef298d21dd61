// B03, Boost.Asio: `co_spawn` of 1000 children with a completion handler that counts, then the next thousand.
// Boost 1.74 has no group to join, so the join is the cheapest that can be had: a counter, and the parent
// posted by the last child.
#include "../support/measure.hpp"
#include "asio_loop.hpp"

#include <cstdint>
#include <exception>

namespace {

using namespace asio_loop;

constexpr std::uint64_t children = 1000;

awaitable<> child(std::uint64_t* ran) {
  ++*ran;
  co_return;
}

struct groups {
  context* loop;
  std::uint64_t left = 0;
  std::uint64_t ran = 0;
  std::uint64_t joined = 0;

  void spawn_group() {
    --left;
    joined = 0;
    for (std::uint64_t i = 0; i < children; ++i) {
      asio::co_spawn(loop->get_executor(), child(&ran), [this](std::exception_ptr failure) {
        measure::require(!failure, "a child failed");
        if (++joined == children && left > 0)
          asio::post(*loop, [this] { spawn_group(); });
      });
    }
  }
};

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  const double ns = measure::nanoseconds_per_unit(
      options.seconds,
      [](std::uint64_t count) {
        context loop;
        groups all{&loop, count / children};
        asio::post(loop, [&all] { all.spawn_group(); });
        loop.run();
        measure::require(all.ran == count && all.left == 0, "not every child ran");
      },
      children);
  measure::print({{"ns", ns}});
}
