#include <fourfold/base/cpu_count.hpp>

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <thread>

namespace fourfold {
namespace {

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view blanks = " \t\r\n";
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// A positive whole number and nothing else.
std::optional<std::uint64_t> positive_number(std::string_view text) noexcept {
  text = trimmed(text);
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size() || number == 0)
    return std::nullopt;
  return number;
}

std::optional<unsigned> ratio_rounded_up(std::optional<std::uint64_t> quota,
                                         std::optional<std::uint64_t> period) noexcept {
  if (!quota || !period)
    return std::nullopt;
  const std::uint64_t cpus = *quota / *period + (*quota % *period != 0 ? 1 : 0);
  return static_cast<unsigned>(std::min<std::uint64_t>(cpus, 1U << 20));
}

std::string contents(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (file)
    text << file.rdbuf();
  return text.str();
}

/// A mounted hierarchy of control groups that can limit CPU time.
struct hierarchy {
  bool version_2 = false;
  std::string root;        // the group that is visible at ...
  std::string mount_point; // ... this folder
};

bool has_word(std::string_view list, std::string_view word) {
  std::istringstream words{std::string(list)};
  for (std::string each; std::getline(words, each, ',');) {
    if (each == word)
      return true;
  }
  return false;
}

/// The next mounted hierarchy of interest in the text of /proc/self/mountinfo (see proc(5)).
std::optional<hierarchy> next_hierarchy(std::istream& mountinfo) {
  for (std::string line; std::getline(mountinfo, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, field, type, source, super_options;
    hierarchy found;
    fields >> id >> parent >> device >> found.root >> found.mount_point;
    while (fields >> field && field != "-") {
    }
    fields >> type >> source >> super_options;
    found.version_2 = type == "cgroup2";
    if (found.version_2 || (type == "cgroup" && has_word(super_options, "cpu")))
      return found;
  }
  return std::nullopt;
}

/// This process's group in that hierarchy, from /proc/self/cgroup ("0::/path" or "4:cpu,cpuacct:/path").
std::string own_group(const hierarchy& where) {
  std::istringstream lines(contents("/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos)
      continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (where.version_2 ? controllers.empty() : has_word(controllers, "cpu"))
      return line.substr(second + 1);
  }
  return "/";
}

std::optional<unsigned> limit_of_group(const hierarchy& where, const std::string& folder) {
  if (where.version_2)
    return detail::cpus_of_cpu_max(contents(folder + "/cpu.max"));
  return detail::cpus_of_cfs_quota(contents(folder + "/cpu.cfs_quota_us"),
                                   contents(folder + "/cpu.cfs_period_us"));
}

/// The smallest limit from this process's own group up to what is mounted.
unsigned limit_of_hierarchy(const hierarchy& where, unsigned cpus) {
  std::string group = own_group(where);
  // In a container without a cgroup namespace the path is the host's, and only what lies under the mount's
  // root is visible.
  if (where.root != "/")
    group = group.starts_with(where.root) ? group.substr(where.root.size()) : "/";
  while (group.ends_with('/'))
    group.pop_back();
  for (;;) {
    if (const auto limit = limit_of_group(where, where.mount_point + group))
      cpus = std::min(cpus, *limit);
    const auto slash = group.rfind('/');
    if (slash == std::string::npos)
      return cpus;
    group.resize(slash);
  }
}

unsigned limited_by_cgroups(unsigned cpus) {
  std::istringstream mountinfo(contents("/proc/self/mountinfo"));
  while (const auto where = next_hierarchy(mountinfo))
    cpus = limit_of_hierarchy(*where, cpus);
  return cpus;
}

unsigned allowed_by_affinity() noexcept {
  // The kernel refuses a set smaller than its own; machines with more than 1024 CPUs exist.
  for (int possible = 1024; possible <= 1 << 20; possible *= 2) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(possible));
    if (set == nullptr)
      break;
    const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(possible));
    const bool answered = ::sched_getaffinity(0, size, set) == 0;
    const int count = answered ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (count > 0)
      return static_cast<unsigned>(count);
  }
  return std::max(1U, std::thread::hardware_concurrency());
}

} // namespace

namespace detail {

std::optional<unsigned> cpus_of_cpu_max(std::string_view text) noexcept {
  text = trimmed(text);
  const auto blank = text.find_first_of(" \t");
  if (blank == std::string_view::npos)
    return ratio_rounded_up(positive_number(text), 100'000);
  return ratio_rounded_up(positive_number(text.substr(0, blank)), positive_number(text.substr(blank)));
}

std::optional<unsigned> cpus_of_cfs_quota(std::string_view quota, std::string_view period) noexcept {
  return ratio_rounded_up(positive_number(quota), positive_number(period));
}

} // namespace detail

unsigned cpu_count() noexcept {
  const unsigned cpus = allowed_by_affinity();
  try {
    return limited_by_cgroups(cpus);
  } catch (const std::exception&) { // no memory to read them with
    return cpus;
  }
}

} // namespace fourfold
