// Calls of all kinds and sizes, with workers killed at random, time limits, cancellations and recycling, and every one
// of them accounted for. FOURFOLD_STRESS_CALLS says how many (20 000; by hand, 1 000 000).

#include <fourfold/base/errors.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/process/process_pool.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

// Results say of which call they are.

std::uint64_t next(std::uint64_t n) { return n + 1; }
std::string echo(std::uint64_t n, std::string text) { return std::to_string(n) + text; }
std::uint64_t refuse(std::uint64_t n) { throw std::out_of_range(std::to_string(n)); }
std::uint64_t die(std::uint64_t n) {
  ::raise(n % 2 == 0 ? SIGKILL : SIGSEGV);
  return n;
}
std::uint64_t never_end(std::uint64_t n) {
  for (;;)
    ::pause();
  return n;
}
std::uint64_t run_until_told(std::uint64_t n) {
  while (!current_cancellation().cancellation_requested())
    ::usleep(100);
  return n + 1;
}
task<std::uint64_t> wait_and_add(std::uint64_t n) {
  co_await sleep(std::chrono::microseconds(n % 500));
  co_return n + 1;
}
task<std::uint64_t> wait_for_ever(std::uint64_t n) {
  co_await sleep(1h);
  co_return n;
}

struct tally {
  std::atomic<std::uint64_t> submitted = 0;
  std::atomic<std::uint64_t> results = 0;
  std::atomic<std::uint64_t> failures = 0; // of the function
  std::atomic<std::uint64_t> cancelled_ones = 0;
  std::atomic<std::uint64_t> timed_out_ones = 0;
  std::atomic<std::uint64_t> deaths = 0;
  std::atomic<std::uint64_t> wrong = 0;
};

/// One client: keeps some calls in flight, and counts how each of its calls ends.
class client {
 public:
  client(process_pool& pool, tally& all, unsigned seed) : pool_(pool), all_(all), random_(seed) {}

  void run(std::uint64_t calls) {
    for (std::uint64_t n = 0; n < calls; ++n) {
      submit_one(n);
      while (numbers_.size() + texts_.size() > 100)
        collect_one();
    }
    while (!numbers_.empty() || !texts_.empty())
      collect_one();
  }

 private:
  void submit_one(std::uint64_t n) {
    const auto kind = random_() % 1000;
    ++all_.submitted;
    if (kind < 600) {
      add(n, pool_.submit(next, n));
    } else if (kind < 700) {
      const std::size_t size = random_() % (kind < 690 ? 2'000U : 200'000U);
      texts_.emplace_back(std::to_string(n) + std::string(size, 't'),
                          pool_.submit(echo, n, std::string(size, 't')));
    } else if (kind < 800) {
      add(n, pool_.submit({.priority = priority::high}, wait_and_add, n));
    } else if (kind < 850) {
      add(n, pool_.submit({.priority = priority::low, .retries = 20}, next, n));
    } else if (kind < 900) {
      add(n, pool_.submit(refuse, n));
    } else if (kind < 960) {
      add(n, kind % 2 == 0 ? pool_.submit(next, n) : pool_.submit(wait_for_ever, n));
      cancel_last();
    } else if (kind < 970) {
      add(n, pool_.submit({.soft_time_limit = 1ms, .time_limit = 60s}, run_until_told, n));
    } else if (kind < 990) {
      add(n, pool_.submit({.soft_time_limit = 1ms}, wait_for_ever, n));
    } else if (kind < 993) {
      add(n, pool_.submit({.time_limit = 5ms}, never_end, n));
    } else if (kind < 996) {
      add(n, pool_.submit({.retries = 1}, die, n));
    } else {
      add(n, pool_.submit({.kill_after = 1ms}, never_end, n));
      cancel_last();
    }
  }
  void add(std::uint64_t n, future<std::uint64_t> result) { numbers_.emplace_back(n + 1, std::move(result)); }
  void cancel_last() {
    // False while its message finds no room, or it has ended already.
    while (!numbers_.back().second.cancel() && !numbers_.back().second.ready())
      std::this_thread::yield();
  }

  void collect_one() {
    if (!texts_.empty() && (numbers_.empty() || random_() % 8 == 0)) {
      count(texts_.front());
      texts_.pop_front();
    } else {
      count(numbers_.front());
      numbers_.pop_front();
    }
  }
  template <class T>
  void count(std::pair<T, future<T>>& call) {
    call.second.wait(120s); // a hang fails the test
    try {
      if (call.second.get() != call.first)
        ++all_.wrong;
      ++all_.results;
    } catch (const worker_died&) {
      ++all_.deaths;
    } catch (const cancelled&) {
      ++all_.cancelled_ones;
    } catch (const timed_out&) {
      ++all_.timed_out_ones;
    } catch (const std::out_of_range&) {
      ++all_.failures;
    }
  }

  process_pool& pool_;
  tally& all_;
  std::minstd_rand random_;
  std::deque<std::pair<std::uint64_t, future<std::uint64_t>>> numbers_;
  std::deque<std::pair<std::string, future<std::string>>> texts_;
};

auto open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}
int shared_mappings() {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);)
    count += line.find("memfd:fourfold") != std::string::npos ? 1 : 0;
  return count;
}

TEST(process_stress, calls_of_all_kinds_with_kills_limits_cancellations_and_recycling_add_up) {
  const char* size = std::getenv("FOURFOLD_STRESS_CALLS");
  const std::uint64_t calls = size != nullptr ? std::strtoull(size, nullptr, 10) : 20'000;
  constexpr unsigned clients = 3;
  const auto descriptors = open_descriptors();
  tally all;
  process_pool_statistics statistics;
  {
    process_pool pool({.workers = 3,
                       .coroutines_per_worker = 20,
                       .queue_bound = 150,
                       .max_calls_per_worker = 50, // most are killed before they get 100
                       .max_memory_per_worker = std::size_t{4} << 30});
    std::atomic<bool> over = false;
    std::jthread killer([&] {
      std::minstd_rand random(7);
      for (std::uint64_t next_kill = 200; !over;) {
        // By results and not by time: on a slow machine workers would be killed before they serve, and the pool give up.
        if (all.results < next_kill) {
          ::usleep(500);
          continue;
        }
        next_kill = all.results + 200;
        const auto pids = pool.worker_pids();
        if (!pids.empty())
          ::kill(pids[random() % pids.size()], SIGKILL);
      }
    });
    {
      std::vector<std::jthread> threads;
      for (unsigned i = 0; i < clients; ++i)
        threads.emplace_back([&, i] { client(pool, all, i + 1).run(calls / clients); });
    }
    over = true;
    killer.join();
    pool.shutdown();
    statistics = pool.statistics();
  }
  EXPECT_EQ(all.wrong, 0U);
  EXPECT_EQ(all.submitted, calls / clients * clients);
  EXPECT_EQ(all.submitted, all.results + all.failures + all.cancelled_ones + all.timed_out_ones + all.deaths);
  EXPECT_EQ(statistics.submitted, all.submitted);
  EXPECT_EQ(statistics.submitted,
            statistics.finished + statistics.cancelled + statistics.timed_out + statistics.failed_by_death);
  EXPECT_EQ(statistics.failed_by_death, all.deaths);
  EXPECT_EQ(statistics.refused, 0U);
  EXPECT_GT(statistics.workers_recycled, 0U);
  EXPECT_GT(statistics.workers_replaced, 0U);
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(shared_mappings(), 0);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
  std::printf(
      "%llu calls: %llu results, %llu failures, %llu cancelled, %llu timed out, %llu lost with a worker; "
      "%llu "
      "run again; %llu workers replaced, %llu recycled\n",
      static_cast<unsigned long long>(all.submitted), static_cast<unsigned long long>(all.results),
      static_cast<unsigned long long>(all.failures), static_cast<unsigned long long>(all.cancelled_ones),
      static_cast<unsigned long long>(all.timed_out_ones), static_cast<unsigned long long>(all.deaths),
      static_cast<unsigned long long>(statistics.retried),
      static_cast<unsigned long long>(statistics.workers_replaced),
      static_cast<unsigned long long>(statistics.workers_recycled));
}

} // namespace
} // namespace fourfold
