// B02: what does awaiting a child task cost that never waits itself?
#include "support/measure.hpp"

#include <fourfold/loop/run.hpp>
#include <fourfold/loop/task.hpp>

#include <cstdint>

namespace {

// Not inlined, so that no compiler merges the child's frame into the parent: on either side a call is a call.
[[gnu::noinline]] fourfold::task<std::uint64_t> child(std::uint64_t value) { co_return value + 1; }

fourfold::task<std::uint64_t> parent(std::uint64_t count) {
  std::uint64_t value = 0;
  for (std::uint64_t i = 0; i < count; ++i)
    value = co_await child(value);
  co_return value;
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  const double ns = measure::nanoseconds_per_unit(options.seconds, [](std::uint64_t count) {
    measure::require(fourfold::run(parent(count)) == count, "a child did not run");
  });
  measure::print({{"ns", ns}});
}
