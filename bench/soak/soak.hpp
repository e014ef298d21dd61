// What the parts of the endurance test share; bench/soak.cpp runs them.
//
// An act is one operation, or a few that belong together, with its results checked. A driver repeats acts of one
// kind until the end of the run, and counts how each one ended, which the act itself knows: it was meant to finish,
// to fail, or to be cancelled, and a race may leave it open. What an act does not expect ends the test.
#pragma once

#include <fourfold/fourfold.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace soak {

using namespace std::chrono_literals;
using random_engine = std::mt19937_64;

enum class ending : std::uint8_t { finished, failed, cancelled };

// Counted from any thread; relaxed throughout, since who adds up has joined or awaited those who count.
struct tally {
  const char* name;
  std::atomic<std::uint64_t> started{0};
  std::array<std::atomic<std::uint64_t>, 3> ended{};

  void begin(std::uint64_t count = 1) noexcept { started.fetch_add(count, std::memory_order_relaxed); }
  void end(ending how, std::uint64_t count = 1) noexcept {
    ended[static_cast<std::size_t>(how)].fetch_add(count, std::memory_order_relaxed);
  }
  std::uint64_t count(ending how) const noexcept {
    return ended[static_cast<std::size_t>(how)].load(std::memory_order_relaxed);
  }
  std::uint64_t all_ended() const noexcept {
    return count(ending::finished) + count(ending::failed) + count(ending::cancelled);
  }
};

struct tallies {
  tally timers{"timers"};
  tally cancellations{"cancellations"};
  tally generators{"generators"};
  tally clients{"TCP clients"};
  tally served{"TCP connections served"};
  tally posts{"posts"};
  tally submits{"submits to the loop"};
  tally pool_calls{"pool calls"};
  tally hand_overs{"queue, semaphore, mutex"};

  std::array<tally*, 9> all() noexcept {
    return {&timers, &cancellations, &generators, &clients,   &served,
            &posts,  &submits,       &pool_calls, &hand_overs};
  }
};

struct run_state {
  std::uint64_t seed = 0;
  std::atomic<bool> stopping{false};
  tallies counts;
};

[[noreturn]] inline void wrong(const char* what) {
  std::fprintf(stderr, "wrong: %s\n", what);
  std::fflush(nullptr);
  std::_Exit(1); // threads and coroutines are in the middle of their work
}
inline void check(bool right, const char* what) {
  if (!right)
    wrong(what);
}

inline std::uint64_t below(random_engine& random, std::uint64_t end) { return random() % end; }

using act = fourfold::task<ending> (*)(run_state&, random_engine&);

inline fourfold::task<> drive(run_state& state, tally& counted, act one, std::uint64_t seed) {
  random_engine random(seed);
  while (!state.stopping.load(std::memory_order_relaxed)) {
    counted.begin();
    counted.end(co_await one(state, random));
    co_await fourfold::yield();
  }
}

// What ends only by cancellation.
inline fourfold::task<int> endless(int& ended) {
  struct count_end {
    int& ended;
    ~count_end() { ++ended; }
  } counter{ended};
  co_await fourfold::sleep(1h);
  wrong("an endless sleep ended");
}

fourfold::task<ending> timer_act(run_state&, random_engine&);
fourfold::task<ending> cancellation_act(run_state&, random_engine&);
fourfold::task<ending> generator_act(run_state&, random_engine&);
// A listener, some clients at once, and the end of the listener in one of several ways. Counts clients and
// connections itself.
fourfold::task<> serve_round(run_state&, random_engine&);
// Traffic between threads, pools and the loop, until the end of the run. Counts itself.
fourfold::task<> cross_threads(run_state&, std::uint64_t seed);

} // namespace soak
