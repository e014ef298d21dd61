// B07: what does it cost to pass an item through a bounded queue, on one thread and between threads?
#include "support/contention.hpp"

#include <fourfold/sync/queue.hpp>

#include <cstdint>

namespace {

using queue = fourfold::queue<std::uint64_t>;

struct side {
  queue& q;
  explicit side(queue& shared) : q(shared) {}
  void put(std::uint64_t item) { q.put(item); }
  std::uint64_t get() { return q.get(); }
};

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  queue q(contention::capacity);
  measure::print({{"queue", contention::per_item<side>(options, q)}});
}
