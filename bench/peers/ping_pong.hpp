// The floors of B10: two processes that pass a number there and back, and nothing else. A mechanism gives
// `send` and `receive` for each side; this header forks, places, measures and checks that the child ended
// well.
#pragma once

#include "../support/measure.hpp"

#include <cstdint>
#include <new>
#include <type_traits>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ping_pong {

constexpr std::uint64_t stop = ~std::uint64_t{0};

// `Mechanism`: constructed before the fork in shared memory; call(value) from the parent, serve(answer) in
// the child.
template <class Mechanism>
int run(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  void* memory = mmap(nullptr, sizeof(Mechanism), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    measure::fail("mmap failed");
  auto* mechanism = new (memory) Mechanism(options.placement == measure::placement::spinning);

  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0)
    measure::fail("fork failed");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
      _exit(1);
    measure::pin_thread(options.second_cpu());
    mechanism->serve();
    _exit(0);
  }

  const auto times = measure::round_trips(options.seconds, [&](std::uint64_t i) {
    measure::require(mechanism->call(i) == i + 1, "the other process gave another answer");
  });
  mechanism->call(stop);
  int status = 0;
  measure::require(waitpid(child, &status, 0) == child && status == 0, "the other process failed");
  measure::print(
      {{"p50", measure::percentile(times, 0.50) / 1000}, {"p99", measure::percentile(times, 0.99) / 1000}});
  return 0;
}

} // namespace ping_pong
