// B21: how many bytes are a coroutine's frame and the public objects?
// The frame is what the compiler asks of the frame allocator, whose name bench/CMakeLists.txt has the linker
// replace by the one here.
#include "support/measure.hpp"

#include <fourfold/fourfold.hpp>

#include <cstddef>

namespace {

std::size_t asked = 0;

fourfold::task<int> leaf(int x) { co_return x; }

template <class T>
double bytes() {
  return static_cast<double>(sizeof(T));
}

} // namespace

// NOLINTBEGIN(bugprone-reserved-identifier): what the linker calls them
extern "C" void* __real__ZN8fourfold6detail20allocate_fresh_frameEm(std::size_t size);
extern "C" void* __wrap__ZN8fourfold6detail20allocate_fresh_frameEm(std::size_t size) {
  asked = size;
  return __real__ZN8fourfold6detail20allocate_fresh_frameEm(size);
}
// NOLINTEND(bugprone-reserved-identifier)

int main() {
  const auto never_started = leaf(1);
  measure::require(asked != 0, "the frame was not asked of the frame allocator");
  measure::print({{"leaf", static_cast<double>(asked)},
                  {"task", bytes<fourfold::task<int>>()},
                  {"task_group", bytes<fourfold::task_group>()},
                  {"loop", bytes<fourfold::loop>()},
                  {"tcp_stream", bytes<fourfold::tcp_stream>()},
                  {"tcp_listener", bytes<fourfold::tcp_listener>()},
                  {"ip_endpoint", bytes<fourfold::ip_endpoint>()},
                  {"mutex", bytes<fourfold::mutex>()},
                  {"recursive_mutex", bytes<fourfold::recursive_mutex>()},
                  {"semaphore", bytes<fourfold::semaphore>()},
                  {"condition", bytes<fourfold::condition>()},
                  {"barrier", bytes<fourfold::barrier>()},
                  {"latch", bytes<fourfold::latch>()},
                  {"event", bytes<fourfold::event>()},
                  {"queue", bytes<fourfold::queue<int>>()},
                  {"priority_queue", bytes<fourfold::priority_queue<int>>()},
                  {"future", bytes<fourfold::future<int>>()},
                  {"promise", bytes<fourfold::promise<int>>()},
                  {"cancellation_source", bytes<fourfold::cancellation_source>()},
                  {"cancellation_token", bytes<fourfold::cancellation_token>()},
                  {"global_lock", bytes<fourfold::global_lock>()},
                  {"thread_pool", bytes<fourfold::thread_pool>()},
                  {"process_pool", bytes<fourfold::process_pool>()}});
}
