#include <fourfold/watch/detail/parked_threads.hpp>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <system_error>

// All of it from proc(5): task/<thread>/syscall says where a thread is blocked, and "running" when it is not;
// task/<thread>/status counts how often it was taken off its processor.

namespace fourfold::detail {
namespace {

namespace fs = std::filesystem;

/// Whether what is mapped at `address` belongs to this process alone.
bool is_private_memory(std::uintptr_t address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    std::array<char, 5> rights{};
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, rights.data()) == 3 &&
        begin <= address && address < end) {
      return rights[3] == 'p';
    }
  }
  return false;
}

bool waits_for_a_futex_without_limit(const std::string& system_call) {
  long number = -1;
  std::uintptr_t word = 0;
  unsigned long operation = 0;
  unsigned long value = 0;
  std::uintptr_t limit = 0;
  if (std::sscanf(system_call.c_str(), "%ld %" SCNxPTR " %lx %lx %" SCNxPTR, &number, &word, &operation,
                  &value, &limit) != 5 ||
      number != SYS_futex || limit != 0)
    return false;
  switch (static_cast<int>(operation) & FUTEX_CMD_MASK) {
  case FUTEX_WAIT:
  case FUTEX_WAIT_BITSET:
  case FUTEX_LOCK_PI:
    // A join waits for a word that the kernel clears, as if it were shared (set_tid_address(2)).
    return (static_cast<int>(operation) & FUTEX_PRIVATE_FLAG) != 0 || is_private_memory(word);
  default: return false;
  }
}

bool is_parked(const fs::path& thread, bool excused) {
  std::string system_call;
  if (!std::getline(std::ifstream(thread / "syscall"), system_call))
    return false;
  return excused ? system_call != "running" : waits_for_a_futex_without_limit(system_call);
}

std::optional<std::uint64_t> switches(const fs::path& thread) {
  std::ifstream status(thread / "status");
  std::optional<std::uint64_t> sum;
  for (std::string line; std::getline(status, line);) {
    if (const auto at = line.find("voluntary_ctxt_switches:"); at != std::string::npos) // or nonvoluntary
      sum = sum.value_or(0) + std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10);
  }
  return sum;
}

/// Each thread's switches, if all are parked.
std::optional<std::map<pid_t, std::uint64_t>> look(const std::vector<pid_t>& excused) {
  std::map<pid_t, std::uint64_t> seen;
  for (const auto& entry : fs::directory_iterator("/proc/self/task")) {
    const auto thread = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
    if (thread == ::gettid())
      continue;
    const bool is_excused = std::find(excused.begin(), excused.end(), thread) != excused.end();
    if (!is_parked(entry.path(), is_excused))
      return std::nullopt;
    const auto count = switches(entry.path());
    if (!count)
      return std::nullopt;
    seen.emplace(thread, *count);
  }
  return seen;
}

} // namespace

bool all_threads_are_parked(const std::function<std::vector<pid_t>()>& excused) {
  try {
    // One after another proves nothing. But who is parked in the second look, and was not taken off its processor since
    // it was counted in the first, was parked all the time between; so all were when the second look began.
    const auto before = look(excused());
    return before && look(excused()) == before;
  } catch (const std::system_error&) { // no /proc, or a thread has just ended
    return false;
  }
}

} // namespace fourfold::detail
