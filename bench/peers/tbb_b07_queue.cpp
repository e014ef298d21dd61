// B07, oneTBB: concurrent_bounded_queue, whose push and pop wait.
#include "../support/contention.hpp"

#include <oneapi/tbb/concurrent_queue.h>

#include <cstdint>

namespace {

using queue = oneapi::tbb::concurrent_bounded_queue<std::uint64_t>;

struct side {
  queue& q;
  explicit side(queue& shared) : q(shared) {}
  void put(std::uint64_t item) { q.push(item); }
  std::uint64_t get() {
    std::uint64_t item = 0;
    q.pop(item);
    return item;
  }
};

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  queue q;
  q.set_capacity(contention::capacity);
  measure::print({{"queue", contention::per_item<side>(options, q)}});
}
