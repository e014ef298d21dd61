// What every benchmark program shares, ours and the C++ peers' alike: so that a difference between two
// figures is a difference between two libraries and never between two stopwatches.
//
// A program is one side of one question. It makes one run of about `--seconds`, checks its own result and
// prints one line of JSON, {"metric": value, ...}; bench/run starts the sides in turn and aggregates.
//
//   measure::options options(argc, argv);
//   measure::pin_thread(options.first_cpu());
//   double ns = measure::nanoseconds_per_unit(options.seconds, [](std::uint64_t count) { ...do it count
//   times... }); measure::print({{"ns", ns}});
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <dirent.h>
#include <sched.h>
#include <unistd.h>

namespace measure {

// Ends the program as a failure of this side; bench/run shows the text.
[[noreturn]] inline void fail(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  std::exit(1);
}

// The check that keeps the work from being optimised away and a broken run from being reported as a fast one.
inline void require(bool condition, const char* text) {
  if (!condition)
    fail(std::string("wrong result: ") + text);
}

// Where the two ends of a figure run. `free` leaves it to the scheduler.
enum class placement { free, same_cpu, across, spinning };

struct options {
  double seconds = 0.4;
  std::uint64_t count = 0; // 0: the program's own choice
  measure::placement placement = measure::placement::free;
  std::vector<int> cpus;       // the CPUs bench/run allows; never empty
  std::string example;         // B18: X01 ... X04
  std::string place;           // B18: threads, processes, coroutines
  std::size_t threads = 1;     // B07
  std::size_t connections = 1; // B15, B16
  std::size_t size = 64;       // of a message, in bytes
  std::size_t window = 1;      // messages of one connection on their way
  std::size_t buffer = 1024;   // what a server receives at once, in bytes
  std::vector<char*> command;  // behind "--": the server, with its arguments

  options(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string_view name = argv[i];
      if (name == "--") {
        command.assign(argv + i + 1, argv + argc);
        break;
      }
      if (i + 1 == argc)
        fail("option without a value: " + std::string(name));
      set(name, argv[++i]);
    }
    if (cpus.empty())
      cpus = allowed_cpus();
  }

  int first_cpu() const { return cpus.front(); }
  // The CPU of the other end: the same one, or the farthest that is allowed.
  int second_cpu() const { return placement == measure::placement::same_cpu ? cpus.front() : cpus.back(); }
  bool pinned() const { return placement != measure::placement::free; }

 private:
  static std::vector<int> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
      fail("sched_getaffinity failed");
    std::vector<int> result;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set))
        result.push_back(cpu);
    return result;
  }

  void set(std::string_view name, const std::string& value) {
    if (name == "--seconds") {
      seconds = std::stod(value);
    } else if (name == "--count") {
      count = std::stoull(value);
    } else if (name == "--placement") {
      placement = placement_named(value);
    } else if (name == "--cpus") {
      std::istringstream list(value);
      for (std::string one; std::getline(list, one, ',');)
        cpus.push_back(std::stoi(one));
    } else if (name == "--example") {
      example = value;
    } else if (name == "--place") {
      place = value;
    } else if (name == "--threads") {
      threads = std::stoull(value);
    } else if (name == "--connections") {
      connections = std::stoull(value);
    } else if (name == "--size") {
      size = std::stoull(value);
    } else if (name == "--window") {
      window = std::stoull(value);
    } else if (name == "--buffer") {
      buffer = std::stoull(value);
    } else {
      fail("unknown option: " + std::string(name));
    }
  }

  static measure::placement placement_named(const std::string& value) {
    if (value == "free")
      return measure::placement::free;
    if (value == "same_cpu")
      return measure::placement::same_cpu;
    if (value == "across")
      return measure::placement::across;
    if (value == "spinning")
      return measure::placement::spinning;
    fail("unknown placement: " + value);
  }
};

// Threads and processes started afterwards by this thread inherit it.
inline void pin_thread(int cpu, pid_t thread = 0) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  if (sched_setaffinity(thread, sizeof set, &set) != 0)
    fail("cannot run on CPU " + std::to_string(cpu));
}

// Every thread this process has now: for a pool worker, which may have helpers beside the thread that runs
// the task.
inline int pin_process(int cpu) {
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr)
    fail("cannot read /proc/self/task");
  while (const dirent* entry = readdir(folder))
    if (entry->d_name[0] != '.')
      pin_thread(cpu, static_cast<pid_t>(std::atol(entry->d_name)));
  closedir(folder);
  return sched_getcpu();
}

using clock = std::chrono::steady_clock;

inline double nanoseconds_since(clock::time_point start) {
  return std::chrono::duration<double, std::nano>(clock::now() - start).count();
}

// Finds how many units fill `seconds` (which also warms caches, pools and allocators), then measures once
// with that many. `body(count)` does `count` units of work and checks them.
template <class Body>
double nanoseconds_per_unit(double seconds, Body&& body, std::uint64_t granularity = 1) {
  std::uint64_t count = granularity;
  double elapsed = 0;
  for (;;) {
    const auto start = clock::now();
    body(count);
    elapsed = nanoseconds_since(start);
    if (elapsed >= seconds * 1e9 / 8)
      break;
    count *= 2;
  }
  const double wanted = static_cast<double>(count) * seconds * 1e9 / elapsed;
  count = (static_cast<std::uint64_t>(wanted) / granularity + 1) * granularity;
  const auto start = clock::now();
  body(count);
  return nanoseconds_since(start) / static_cast<double>(count);
}

// Times of single round trips, in nanoseconds: `trip(i)` until `seconds` have passed, after an eighth of that
// as warm-up.
template <class Trip>
std::vector<double> round_trips(double seconds, Trip&& trip) {
  std::uint64_t i = 0;
  for (const auto start = clock::now(); nanoseconds_since(start) < seconds * 1e9 / 8;)
    trip(i++);
  std::vector<double> times;
  times.reserve(1'000'000);
  const auto begin = clock::now();
  for (auto start = begin; std::chrono::duration<double>(start - begin).count() < seconds;) {
    trip(i++);
    const auto end = clock::now();
    times.push_back(std::chrono::duration<double, std::nano>(end - start).count());
    start = end;
  }
  return times;
}

// Nearest rank: a time that was really seen.
inline double percentile(std::vector<double> values, double fraction) {
  if (values.empty())
    fail("no round trip was measured");
  const auto rank = static_cast<std::ptrdiff_t>(std::ceil(fraction * static_cast<double>(values.size()))) - 1;
  const auto place = values.begin() + std::max<std::ptrdiff_t>(rank, 0);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

inline std::uint64_t resident_bytes(const std::string& process = "self") {
  std::ifstream file("/proc/" + process + "/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  if (!(file >> size >> resident))
    fail("cannot read /proc/" + process + "/statm");
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

inline void print(std::initializer_list<std::pair<const char*, double>> metrics) {
  std::string line = "{";
  for (const auto& [name, value] : metrics) {
    char text[64];
    std::snprintf(text, sizeof text, "%.6g", value);
    line += (line.size() > 1 ? ", \"" : "\"") + std::string(name) + "\": " + text;
  }
  std::printf("%s}\n", line.c_str());
  std::fflush(stdout);
}

} // namespace measure
