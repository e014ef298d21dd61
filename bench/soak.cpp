// The endurance test: timers, cancellations, sockets, threads and generators, mixed, for as long as asked; and does
// the program then hold as many descriptors, threads and bytes as before? docs/benchmarks.md explains it.
#include "soak/soak.hpp"
#include "support/measure.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace soak;
using fourfold::task;

struct sample {
  double second;
  double megabytes;
};

constexpr double warm_up = 0.2;        // the part of the run in which memory may grow
constexpr double growth_allowed = 4.0; // MB, over the rest of it

int entries_in(const char* folder) {
  DIR* open = ::opendir(folder);
  if (open == nullptr)
    measure::fail(std::string("cannot read ") + folder);
  int count = 0;
  while (const dirent* entry = ::readdir(open))
    count += entry->d_name[0] != '.' ? 1 : 0;
  ::closedir(open);
  return count;
}
// Without the one that reads the folder.
int descriptors_now() { return entries_in("/proc/self/fd") - 1; }
int threads_now() { return entries_in("/proc/self/task"); }
double megabytes_now() { return static_cast<double>(measure::resident_bytes()) / 1e6; }

// By the straight line that fits best (least squares): how much it rises from the first sample to the last.
double growth(const std::vector<sample>& samples) {
  if (samples.size() < 2)
    return 0;
  double mean_x = 0;
  double mean_y = 0;
  for (const sample& one : samples) {
    mean_x += one.second / static_cast<double>(samples.size());
    mean_y += one.megabytes / static_cast<double>(samples.size());
  }
  double above = 0;
  double below = 0;
  for (const sample& one : samples) {
    above += (one.second - mean_x) * (one.megabytes - mean_y);
    below += (one.second - mean_x) * (one.second - mean_x);
  }
  return above / below * (samples.back().second - samples.front().second);
}

std::uint64_t operations(run_state& state) {
  std::uint64_t sum = 0;
  for (const tally* one : state.counts.all())
    sum += one->all_ended();
  return sum;
}

task<> watch(run_state& state, double seconds, std::vector<sample>& samples) {
  const auto begin = fourfold::clock::now();
  for (int second = 1; !state.stopping; ++second) {
    co_await fourfold::sleep_until(begin + std::chrono::seconds(second));
    const double now = std::chrono::duration<double>(fourfold::clock::now() - begin).count();
    const double megabytes = megabytes_now();
    if (now >= warm_up * seconds)
      samples.push_back({now, megabytes});
    if (second % 10 == 0) {
      std::printf("%5d s  %11ju operations  %7.1f MB  %4d descriptors  %3d threads\n", second,
                  static_cast<std::uintmax_t>(operations(state)), megabytes, descriptors_now(),
                  threads_now());
      std::fflush(stdout);
    }
  }
}

task<> serve_rounds(run_state& state, std::uint64_t seed) {
  random_engine random(seed);
  while (!state.stopping) {
    co_await serve_round(state, random);
    co_await fourfold::sleep(5ms); // the kernel keeps each closed connection for a minute
  }
}

task<int> asked_to_end() {
  fourfold::signal_set signals({SIGINT, SIGTERM});
  co_return co_await signals.next();
}

task<> end_of_run(run_state& state, double seconds) {
  auto either = fourfold::race(fourfold::sleep(std::chrono::duration<double>(seconds)), asked_to_end());
  co_await std::move(either);
  state.stopping = true;
}

task<> everything(run_state& state, double seconds, std::vector<sample>& samples) {
  random_engine random(state.seed);
  auto body = [&](fourfold::task_group& group) -> task<> {
    group.spawn(end_of_run(state, seconds));
    group.spawn(watch(state, seconds, samples));
    group.spawn(cross_threads(state, random()));
    for (int i = 0; i < 4; ++i) {
      group.spawn(drive(state, state.counts.timers, timer_act, random()));
      group.spawn(serve_rounds(state, random()));
    }
    for (int i = 0; i < 2; ++i) {
      group.spawn(drive(state, state.counts.cancellations, cancellation_act, random()));
      group.spawn(drive(state, state.counts.generators, generator_act, random()));
    }
    co_return;
  };
  co_await fourfold::with_task_group(body);
}

bool report(run_state& state) {
  bool right = true;
  std::printf("%-24s %12s %12s %12s %12s\n", "", "started", "finished", "failed", "cancelled");
  for (const tally* one : state.counts.all()) {
    const auto number = [](std::uint64_t n) { return static_cast<std::uintmax_t>(n); };
    std::printf("%-24s %12ju %12ju %12ju %12ju\n", one->name, number(one->started),
                number(one->count(ending::finished)), number(one->count(ending::failed)),
                number(one->count(ending::cancelled)));
    if (one->started != one->all_ended()) {
      std::printf("wrong: %s do not add up\n", one->name);
      right = false;
    }
  }
  return right;
}

int usage() {
  std::fprintf(stderr, "usage: soak [--seconds N] [--seed N]\n");
  return 2;
}

} // namespace

int main(int argc, char** argv) {
  double seconds = 600;
  run_state state;
  state.seed = std::random_device{}();
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 == argc || (name != "--seconds" && name != "--seed"))
      return usage();
    char* end = nullptr;
    if (name == "--seconds") {
      seconds = std::strtod(argv[i + 1], &end);
    } else {
      state.seed = std::strtoull(argv[i + 1], &end, 10);
    }
    if (*end != '\0' || end == argv[i + 1] || seconds <= 0)
      return usage();
  }
  const char* reactor = std::getenv("FOURFOLD_REACTOR");
  std::printf("%.0f s, --seed %ju, reactor: %s\n", seconds, static_cast<std::uintmax_t>(state.seed),
              reactor != nullptr ? reactor : "the default");
  std::fflush(stdout);

  const int descriptors = descriptors_now();
  const int threads = threads_now();
  std::vector<sample> samples;
  samples.reserve(static_cast<std::size_t>(seconds) + 2); // so that the watch itself does not grow
  try {
    fourfold::run(everything(state, seconds, samples));
  } catch (const std::exception& failure) {
    std::printf("wrong: nobody expected %s\n", failure.what());
    return 1;
  }

  bool right = report(state);
  const double grown = growth(samples);
  std::printf("descriptors %d -> %d, threads %d -> %d; memory since %.0f %% of the time: %+.2f MB\n",
              descriptors, descriptors_now(), threads, threads_now(), 100 * warm_up, grown);
  if (descriptors_now() != descriptors || threads_now() != threads || grown > growth_allowed) {
    std::printf("wrong: not back at what it held before, or grown by more than %.0f MB\n", growth_allowed);
    right = false;
  }
  std::printf("%s\n", right ? "all right" : "NOT all right");
  return right ? 0 : 1;
}
