// B07, moodycamel: BlockingConcurrentQueue with tokens. It is unbounded and keeps the order of each producer only.
#include "../support/contention.hpp"

#include <concurrentqueue/blockingconcurrentqueue.h>

#include <cstdint>

namespace {

using queue = moodycamel::BlockingConcurrentQueue<std::uint64_t>;

struct side {
  queue& q;
  moodycamel::ProducerToken producer;
  moodycamel::ConsumerToken consumer;
  explicit side(queue& shared) : q(shared), producer(shared), consumer(shared) {}
  void put(std::uint64_t item) { measure::require(q.enqueue(producer, item), "no memory"); }
  std::uint64_t get() {
    std::uint64_t item = 0;
    q.wait_dequeue(consumer, item);
    return item;
  }
};

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  queue q;
  measure::print({{"queue", contention::per_item<side>(options, q)}});
}
