#include "machine_load.hpp"

#include <sched.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>
#include <string>

namespace fourfold::tool {
namespace {

// Seconds that the usable CPUs were not idle since the machine started; time stolen by its host counts as
// busy.
double busy_seconds() {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  ::sched_getaffinity(0, sizeof usable, &usable);
  static const double ticks_per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
  std::ifstream file("/proc/stat");
  double ticks = 0;
  for (std::string line; std::getline(file, line) && line.starts_with("cpu");) {
    std::istringstream fields(line.substr(3));
    unsigned cpu = 0;
    if (line[3] == ' ' || !(fields >> cpu) || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &usable))
      continue;
    // user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen
    std::array<double, 8> times{};
    for (double& time : times)
      fields >> time;
    ticks += times[0] + times[1] + times[2] + times[5] + times[6] + times[7];
  }
  return ticks / ticks_per_second;
}

} // namespace

void machine_load::restart() {
  busy_at_start_ = busy_seconds();
  start_ = std::chrono::steady_clock::now();
}

double machine_load::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

double machine_load::cpus_in_use() const {
  const double passed = seconds();
  return passed > 0 ? (busy_seconds() - busy_at_start_) / passed : 0;
}

} // namespace fourfold::tool
