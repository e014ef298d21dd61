// X02: the primes up to 100 000, four times; and the same up to 1 000 000.
#include "works/primes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "text.hpp"
#include "work.hpp"
#include "works/models.hpp"

namespace fourfold::tool {
namespace {

// About 20 µs of divisions: often enough for a switch interval of milliseconds, too seldom to cost anything.
constexpr unsigned divisions_between_checkpoints = 4096;

template <class Checkpoint>
unsigned count_primes_with(unsigned limit, Checkpoint checkpoint) {
  unsigned count = 0;
  unsigned divisions = 0;
  for (unsigned candidate = 2; candidate <= limit; ++candidate) {
    unsigned divisor = 2;
    while (divisor * divisor <= candidate && candidate % divisor != 0)
      ++divisor;
    if (divisor * divisor > candidate)
      ++count;
    divisions += divisor - 1;
    if (divisions >= divisions_between_checkpoints) {
      divisions = 0;
      checkpoint();
    }
  }
  return count;
}

std::string shown(const std::vector<unsigned>& counts) { return fmt::format("{}", fmt::join(counts, " ")); }

part four_times(const settings& chosen, unsigned limit, const std::string& expected) {
  const std::vector<unsigned> limits(4, limit);
  const unsigned workers = chosen.workers;
  part job;
  job.title = fmt::format("Count the primes up to {}, four times", count_text(limit));
  job.expected = fmt::format("{0} {0} {0} {0}", expected);
  job.models = {
      {"sequential", model_kind::sequential, [=] { return shown(sequentially(count_primes, limits)); }},
      {"threads", model_kind::threads, [=] { return shown(on_threads(workers, count_primes, limits)); }},
      {"threads (global lock)", model_kind::locked_threads,
       [=] {
         global_lock lock;
         const auto locked = [&lock](unsigned last) { return count_primes_under(lock, last); };
         return shown(on_threads(workers, locked, limits));
       },
       "one lock around all computing, as an interpreter has it"},
      {"processes", model_kind::processes,
       [=] { return shown(in_processes(workers, count_primes, limits)); }},
  };
  return job;
}

part textbook(const settings& chosen, double) { return four_times(chosen, 100'000, "9592"); }
// In C++ the row is done within milliseconds, and starting workers weighs as much as the work. This is the
// same with work enough.
part large(const settings& chosen, double) { return four_times(chosen, 1'000'000, "78498"); }

} // namespace

unsigned count_primes(unsigned limit) {
  return count_primes_with(limit, [] {});
}

unsigned count_primes_under(global_lock& lock, unsigned limit) {
  const global_lock_guard guard(lock);
  return count_primes_with(limit, [&lock] { lock.checkpoint(); });
}

work primes_work() {
  return {"primes",
          "primes up to 100 000 and 1 000 000, four times each: nothing but computing",
          {{"textbook", 0.1, textbook}, {"large", 1.5, large}}};
}

} // namespace fourfold::tool
