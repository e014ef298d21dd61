// B07: what goes through a lock or a queue, the same for ours, for the standard library's and for the other peers.
#pragma once

#include "measure.hpp"

#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace contention {

constexpr std::size_t capacity = 1024; // of a bounded queue

// Runs `work(i)` for each of `count` threads; a single one on this thread, pinned.
template <class Work>
void on_threads(const measure::options& options, std::size_t count, Work work) {
  if (count == 1) {
    measure::pin_thread(options.first_cpu());
    return work(std::size_t{0});
  }
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < count; ++i) {
    threads.emplace_back([&options, &work, i] {
      measure::pin_thread(options.cpus[i % options.cpus.size()]);
      work(i);
    });
  }
}

// The C library leaves atomic operations out while a process has had only one thread. No program that needs a lock is
// like that.
inline void leave_single_threaded_mode() {
  std::jthread([] {}).join();
}

// Nanoseconds for one section: `enter` a lock, count, `leave` it. `--threads` of them compete.
template <class Enter, class Leave>
double per_section(const measure::options& options, Enter enter, Leave leave) {
  leave_single_threaded_mode();
  return measure::nanoseconds_per_unit(
      options.seconds,
      [&](std::uint64_t count) {
        std::uint64_t counter = 0;
        on_threads(options, options.threads, [&](std::size_t) {
          for (std::uint64_t i = 0; i < count / options.threads; ++i) {
            enter();
            ++counter;
            leave();
          }
        });
        measure::require(counter == count, "an update was lost");
      },
      options.threads);
}

// Nanoseconds for one item through a queue. With one thread, it puts and gets in turn; with more, as many produce as
// consume. `Side` is a thread's view of the queue: `put(x)`, and `get()`, which waits for an item.
template <class Side, class Queue>
double per_item(const measure::options& options, Queue& queue) {
  leave_single_threaded_mode();
  const std::uint64_t producers = options.threads;
  return measure::nanoseconds_per_unit(
      options.seconds,
      [&](std::uint64_t count) {
        const std::uint64_t share = count / producers;
        std::vector<std::uint64_t> sums(producers);
        if (producers == 1) {
          on_threads(options, 1, [&](std::size_t) {
            Side side(queue);
            for (std::uint64_t i = 0; i < share; ++i) {
              side.put(i);
              sums[0] += side.get();
            }
          });
        } else {
          on_threads(options, 2 * producers, [&](std::size_t i) {
            Side side(queue);
            // Producers are first, so that both kinds are on each CPU.
            if (i < producers) {
              for (std::uint64_t k = 0; k < share; ++k)
                side.put(k);
            } else {
              std::uint64_t sum = 0;
              for (std::uint64_t k = 0; k < share; ++k)
                sum += side.get();
              sums[i - producers] = sum;
            }
          });
        }
        std::uint64_t sum = 0;
        for (const std::uint64_t one : sums)
          sum += one;
        measure::require(sum == producers * (share * (share - 1) / 2), "an item was lost or doubled");
      },
      producers);
}

} // namespace contention
