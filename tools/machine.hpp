// What machine this is: the frame that figures need to mean anything.
#pragma once

#include <cstdint>
#include <string>

namespace fourfold::tool {

struct machine {
  std::string cpu_model;
  unsigned cpus_usable = 0; // honours affinity and cgroup limits
  unsigned cpus_online = 0;
  std::uint64_t memory_bytes = 0;
  std::string kernel; // "Linux 6.1.0-18-amd64"
  std::string system; // "Debian GNU/Linux 12 (bookworm)"
  std::string architecture;
  std::string compiler; // what this program was built with
  std::string date;     // local time, ISO 8601 with its offset
};

machine this_machine(unsigned cpus_usable);

} // namespace fourfold::tool
