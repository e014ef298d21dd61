// B06, Boost.Asio: `post` to a context that one thread runs (concurrency hint 1), with locks.
#include "../support/posts.hpp"
#include "asio_loop.hpp"

#include <boost/asio/executor_work_guard.hpp>

#include <cstdint>

namespace {

using namespace asio_loop;

std::uint64_t receive(std::uint64_t count) {
  context loop;
  auto more_to_come = asio::make_work_guard(loop);
  std::uint64_t threads_ended = 0;
  const posts::producers producers(
      count, [&loop](auto function) { asio::post(loop, function); },
      [&] {
        if (++threads_ended == posts::threads)
          more_to_come.reset();
      });
  loop.run();
  return producers.ran();
}

} // namespace

int main(int argc, char** argv) { posts::run(argc, argv, receive); }
