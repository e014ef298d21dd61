// A producer that is a thread, a consumer that is a coroutine, and one queue of five places between them.
#include <fourfold/fourfold.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <thread>

namespace {

constexpr int items = 1'000;

void produce(fourfold::queue<int>& buffer) {
  for (int i = 0; i < items; ++i)
    buffer.put(i); // blocks this thread while the buffer is full
  buffer.close();  // what is in it can still be taken
}

struct outcome {
  int received = 0;
  bool in_order = true;
  std::size_t most = 0;
};

fourfold::task<outcome> consume(fourfold::queue<int>& buffer) {
  outcome seen;
  for (;;) {
    seen.most = std::max(seen.most, buffer.size());
    const auto item = co_await buffer.async_next(); // suspends this coroutine while the buffer is empty
    if (!item)
      co_return seen; // closed, and nothing is left
    seen.in_order = seen.in_order && *item == seen.received;
    ++seen.received;
  }
}

} // namespace

int main() {
  fourfold::queue<int> buffer(5);
  std::jthread producer(produce, std::ref(buffer));
  const outcome seen = fourfold::run(consume(buffer));
  std::printf("%d items, %s, never more than %zu in the buffer\n", seen.received,
              seen.in_order ? "in order" : "out of order", seen.most);
  return seen.received == items && seen.in_order && seen.most <= 5 ? 0 : 1;
}
