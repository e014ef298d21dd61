// The peers of B13: a child sends numbered messages of 64 bytes, the parent receives and checks them.
#pragma once

#include "../support/measure.hpp"

#include <array>
#include <cstdint>
#include <new>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace one_way {

using message = std::array<std::uint64_t, 8>;

// `Mechanism`: constructed before the fork in shared memory; send(message) in the child, receive() in the
// parent.
template <class Mechanism>
int run(int argc, char** argv) {
  const measure::options options(argc, argv);
  const std::uint64_t count = options.count != 0 ? options.count : 4'000'000;
  measure::pin_thread(options.first_cpu());
  void* memory = mmap(nullptr, sizeof(Mechanism), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    measure::fail("mmap failed");
  auto* mechanism = new (memory) Mechanism;
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0)
    measure::fail("fork failed");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
      _exit(1);
    measure::pin_thread(options.second_cpu());
    message next{};
    for (std::uint64_t i = 0; i < count; ++i) {
      next[0] = next[7] = i;
      mechanism->send(next);
    }
    _exit(0);
  }
  measure::require(mechanism->receive()[0] == 0, "the first message is another one");
  const auto start = measure::clock::now();
  for (std::uint64_t i = 1; i < count; ++i) {
    const message next = mechanism->receive();
    measure::require(next[0] == i && next[7] == i, "a message is lost or torn");
  }
  const double elapsed = measure::nanoseconds_since(start);
  int status = 0;
  measure::require(waitpid(child, &status, 0) == child && status == 0, "the other process failed");
  measure::print({{"messages", static_cast<double>(count - 1) * 1e9 / elapsed}});
  return 0;
}

} // namespace one_way
