// B06: two threads post to one running loop as fast as they can. A posted function counts itself for the
// thread that posted it, which the thread looks at from time to time, so that at most `outstanding` functions
// are on their way: the same bound, and the same cost, on every side.
#pragma once

#include "measure.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>

namespace posts {

constexpr std::uint64_t threads = 2;
constexpr std::uint64_t outstanding = 100'000;

// What one thread has posted that has run. Written by the loop's thread only.
struct alignas(64) counter {
  std::atomic<std::uint64_t> ran{0};

  // Relaxed, and no read-modify-write: one thread writes, the other wants an old value at worst.
  void add_one() noexcept { ran.store(ran.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
};

// The two threads. `post(function)` is what is measured; `ended` is posted last by each of them, to run behind
// everything that the thread has posted.
class producers {
 public:
  template <class Post, class Ended>
  producers(std::uint64_t count, Post post, Ended ended) {
    for (std::uint64_t i = 0; i < threads; ++i)
      threads_[i] = std::jthread([this, i, count, post, ended] {
        produce(count / threads, counters_[i], post);
        post(ended);
      });
  }
  [[nodiscard]] std::uint64_t ran() const {
    std::uint64_t all = 0;
    for (const counter& one : counters_)
      all += one.ran.load(std::memory_order_relaxed);
    return all;
  }

 private:
  template <class Post>
  static void produce(std::uint64_t count, counter& mine, Post& post) {
    constexpr std::uint64_t share = outstanding / threads;
    constexpr std::uint64_t step = share / 50;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (i % step == 0)
        while (i - mine.ran.load(std::memory_order_relaxed) > share - step)
          std::this_thread::yield();
      post([&mine] { mine.add_one(); });
    }
  }

  std::array<counter, threads> counters_;
  std::array<std::jthread, threads> threads_;
};

// `body(count)`: posts so many and returns when the last has run; its result is how many ran.
template <class Body>
void run(int argc, char** argv, Body&& body) {
  const measure::options options(argc, argv);
  const double ns = measure::nanoseconds_per_unit(
      options.seconds,
      [&](std::uint64_t count) { measure::require(body(count) == count, "not every posted function ran"); },
      threads);
  measure::print({{"posts", 1e9 / ns}});
}

} // namespace posts
