// B13: how many messages of 64 bytes a second go from one process to another through a process_queue?
#include "support/measure.hpp"

#include <fourfold/process/process_pool.hpp>
#include <fourfold/process/process_queue.hpp>

#include <array>
#include <cstdint>
#include <utility>

namespace {

using message = std::array<std::uint64_t, 8>;

void produce(fourfold::queue_sender<message> out, std::uint64_t count, int cpu) {
  measure::pin_thread(cpu);
  message next{};
  for (std::uint64_t i = 0; i < count; ++i) {
    next[0] = next[7] = i;
    out.put(next);
  }
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  const std::uint64_t count = options.count != 0 ? options.count : 4'000'000;
  fourfold::process_pool pool({.workers = 1});
  double elapsed = 0;
  for (const std::uint64_t messages :
       {std::uint64_t{1000}, count}) { // the first time for the worker to be there
    auto [sender, receiver] = fourfold::process_queue<message>(4096);
    measure::pin_thread(options.first_cpu());
    auto work = pool.submit(produce, std::move(sender), messages, options.second_cpu());
    const message first = receiver.get();
    measure::require(first[0] == 0, "the first message is another one");
    const auto start = measure::clock::now();
    for (std::uint64_t i = 1; i < messages; ++i) {
      const message next = receiver.get();
      measure::require(next[0] == i && next[7] == i, "a message is lost or torn");
    }
    elapsed = measure::nanoseconds_since(start);
    measure::require(!receiver.next(), "there is no end");
    work.get();
  }
  measure::print({{"messages", static_cast<double>(count - 1) * 1e9 / elapsed}});
}
