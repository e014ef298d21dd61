#include "process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace fourfold::tool {
namespace {

// Files in /proc are read whole in one read(), so that their lines belong together.
std::string read_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return {};
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t got; (got = ::read(file, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(file);
  return text;
}

struct close_directory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

std::vector<pid_t> numbers_in(const std::string& path) {
  std::vector<pid_t> numbers;
  const std::unique_ptr<DIR, close_directory> directory(::opendir(path.c_str()));
  if (!directory)
    return numbers;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    pid_t number = 0;
    const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (failure == std::errc{} && end == name.data() + name.size())
      numbers.push_back(number);
  }
  return numbers;
}

std::uint64_t number_after(std::string_view text, std::string_view label) {
  const std::size_t found = text.find(label);
  if (found == std::string_view::npos)
    return 0;
  std::size_t at = found + label.size();
  while (at < text.size() && (text[at] == ' ' || text[at] == '\t'))
    ++at;
  std::uint64_t number = 0;
  std::from_chars(text.data() + at, text.data() + text.size(), number);
  return number;
}

std::string proc(pid_t process, std::string_view name) {
  return "/proc/" + std::to_string(process) + "/" + std::string(name);
}

// The fields of /proc/PID/stat that follow the command's name, which may itself hold spaces and parentheses.
std::vector<std::string_view> fields_after_name(std::string_view stat) {
  std::vector<std::string_view> fields;
  std::size_t at = stat.rfind(')');
  if (at == std::string_view::npos)
    return fields;
  ++at;
  while (at < stat.size()) {
    while (at < stat.size() && (stat[at] == ' ' || stat[at] == '\n'))
      ++at;
    const std::size_t end = std::min(stat.find_first_of(" \n", at), stat.size());
    if (end > at)
      fields.push_back(stat.substr(at, end - at));
    at = end;
  }
  return fields;
}

std::uint64_t as_number(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Only for kernels built without CONFIG_PROC_CHILDREN: the parents of all processes of the machine.
std::vector<pid_t> children_by_scan(pid_t parent) {
  std::vector<pid_t> children;
  for (const pid_t process : numbers_in("/proc")) {
    const std::string stat = read_file(proc(process, "stat"));
    const auto fields = fields_after_name(stat);
    if (fields.size() > 1 && static_cast<pid_t>(as_number(fields[1])) == parent)
      children.push_back(process);
  }
  return children;
}

std::vector<pid_t> children_of(pid_t parent) {
  static const bool listed = ::access("/proc/thread-self/children", R_OK) == 0;
  if (!listed)
    return children_by_scan(parent);
  std::vector<pid_t> children;
  for (const pid_t thread : numbers_in(proc(parent, "task"))) {
    const std::string list = read_file(proc(parent, "task/") + std::to_string(thread) + "/children");
    const char* at = list.data();
    const char* const end = at + list.size();
    while (at < end) {
      pid_t child = 0;
      const auto [next, failure] = std::from_chars(at, end, child);
      if (failure != std::errc{})
        break;
      children.push_back(child);
      at = next;
      while (at < end && *at == ' ')
        ++at;
    }
  }
  return children;
}

// A child that was just started and has not begun its own program still runs in its parent's memory, all of
// which would be counted twice.
bool shares_memory_with(pid_t self, pid_t process) {
  return ::syscall(SYS_kcmp, self, process, KCMP_VM, 0UL, 0UL) == 0;
}

} // namespace

std::vector<pid_t> descendants_of(pid_t root, const std::set<pid_t>& excluded) {
  std::vector<pid_t> found;
  std::vector<pid_t> level{root};
  while (!level.empty()) {
    std::vector<pid_t> next;
    for (const pid_t parent : level) {
      for (const pid_t child : children_of(parent)) {
        if (!excluded.contains(child))
          next.push_back(child);
      }
    }
    found.insert(found.end(), next.begin(), next.end());
    level = std::move(next);
  }
  return found;
}

process_figures figures_of(pid_t process) {
  process_figures figures;
  std::uint64_t nanoseconds = 0;
  for (const pid_t thread : numbers_in(proc(process, "task"))) {
    const std::string folder = proc(process, "task/") + std::to_string(thread);
    nanoseconds += as_number(read_file(folder + "/schedstat"));
    const std::string status = read_file(folder + "/status");
    figures.context_switches += number_after(status, "\nvoluntary_ctxt_switches:");
    figures.context_switches += number_after(status, "\nnonvoluntary_ctxt_switches:");
  }
  // schedstat counts nanoseconds but only of live threads; stat counts ended threads too, but in ticks of 10
  // ms.
  const std::string stat = read_file(proc(process, "stat"));
  const auto fields = fields_after_name(stat);
  double by_ticks = 0;
  if (fields.size() > 12) {
    static const double ticks_per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
    by_ticks = static_cast<double>(as_number(fields[11]) + as_number(fields[12])) / ticks_per_second;
  }
  figures.cpu_seconds = std::max(static_cast<double>(nanoseconds) * 1e-9, by_ticks);
  return figures;
}

std::uint64_t memory_of(pid_t process) {
  const std::uint64_t shared_fairly = number_after(read_file(proc(process, "smaps_rollup")), "\nPss:");
  if (shared_fairly != 0)
    return shared_fairly * 1024;
  return number_after(read_file(proc(process, "status")), "\nVmRSS:") * 1024;
}

void tree_watch::begin() {
  processes_.clear();
  peak_bytes_ = 0;
  visit(true);
}

void tree_watch::sample() { visit(false); }

void tree_watch::visit(bool first) {
  const pid_t self = ::getpid();
  std::uint64_t bytes = memory_of(self);
  for (const pid_t process : descendants_of(self, excluded_)) {
    const process_figures now = figures_of(process);
    if (!shares_memory_with(self, process))
      bytes += memory_of(process);
    record& entry = processes_[process];
    if (first)
      entry.at_begin = now;
    // A process that is ending reads as zero; its last good sample stands.
    entry.latest.cpu_seconds = std::max(entry.latest.cpu_seconds, now.cpu_seconds);
    entry.latest.context_switches = std::max(entry.latest.context_switches, now.context_switches);
  }
  peak_bytes_ = std::max(peak_bytes_, bytes);
}

process_figures tree_watch::used_by_descendants() const {
  process_figures sum;
  for (const auto& [process, entry] : processes_) {
    sum.cpu_seconds += entry.latest.cpu_seconds - entry.at_begin.cpu_seconds;
    sum.context_switches += entry.latest.context_switches - entry.at_begin.context_switches;
  }
  return sum;
}

} // namespace fourfold::tool
