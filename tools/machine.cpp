#include "machine.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <fstream>
#include <string_view>

namespace fourfold::tool {
namespace {

// The value of the first line "label<separator>value", without surrounding blanks and quotes.
std::string value_in(const char* path, std::string_view label, char separator) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(label))
      continue;
    const std::size_t at = line.find(separator);
    if (at == std::string::npos)
      continue;
    const std::size_t begin = line.find_first_not_of(" \t\"", at + 1);
    const std::size_t end = line.find_last_not_of(" \t\"");
    if (begin == std::string::npos || end < begin)
      continue;
    return line.substr(begin, end - begin + 1);
  }
  return {};
}

std::string cpu_model() {
  for (const char* label : {"model name", "Model", "Hardware"}) {
    if (std::string found = value_in("/proc/cpuinfo", label, ':'); !found.empty())
      return found;
  }
  // 64-bit ARM gives no name in cpuinfo; boards and virtual machines name themselves in the device tree.
  std::ifstream board("/sys/firmware/devicetree/base/model");
  std::string name;
  std::getline(board, name, '\0');
  return name.empty() ? "unknown CPU" : name;
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S%z", &local);
  return text.data();
}

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "g++ " __VERSION__;
#else
  return "unknown compiler";
#endif
}

} // namespace

machine this_machine(unsigned cpus_usable) {
  machine here;
  here.cpu_model = cpu_model();
  here.cpus_usable = cpus_usable;
  here.cpus_online = static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN));
  here.memory_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                      static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  utsname name{};
  ::uname(&name);
  here.kernel = std::string(name.sysname) + " " + name.release;
  here.architecture = name.machine;
  here.system = value_in("/etc/os-release", "PRETTY_NAME", '=');
  here.compiler = compiler();
  here.date = now_text();
  return here;
}

} // namespace fourfold::tool
