// B06: how many functions a second can two threads post to one running loop?
#include "support/posts.hpp"

#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/sync/event.hpp>

#include <cstdint>

namespace {

fourfold::task<std::uint64_t> receive(fourfold::loop& here, std::uint64_t count) {
  std::uint64_t threads_ended = 0;
  fourfold::event all_ended;
  const posts::producers producers(
      count, [&here](auto function) { here.post(function); },
      [&] {
        if (++threads_ended == posts::threads)
          all_ended.set();
      });
  co_await all_ended.async_wait();
  co_return producers.ran();
}

} // namespace

int main(int argc, char** argv) {
  posts::run(argc, argv, [](std::uint64_t count) {
    fourfold::loop here;
    return here.run(receive(here, count));
  });
}
