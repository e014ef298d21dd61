#include <fourfold/process/detail/sandbox.hpp>
#include <fourfold/process/detail/seccomp_filter.hpp>
#include <fourfold/process/detail/system_call.hpp>

#include <fourfold/base/unique_fd.hpp>

#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace fourfold::detail {
namespace {

bool names_files(const sandbox_options& sandbox) noexcept {
  return !sandbox.readable.empty() || !sandbox.writable.empty();
}

/// The version of Landlock's interface; 0 where there is none.
long landlock_version() noexcept {
  return std::max(0L, ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
}

bool seccomp_can_trap() noexcept {
  std::uint32_t action = SECCOMP_RET_TRAP;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

// Rights, by the version of Landlock that knows them (Documentation/userspace-api/landlock.rst).
constexpr std::uint64_t rights_of_version_1 = (1ULL << 13) - 1; // execute ... make_sym
constexpr std::uint64_t right_to_refer = 1ULL << 13;            // 2
constexpr std::uint64_t right_to_truncate = 1ULL << 14;         // 3
constexpr std::uint64_t right_to_control_devices = 1ULL << 15;  // 5
constexpr std::uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t writing = reading | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                                  LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                  LANDLOCK_ACCESS_FS_REMOVE_DIR | right_to_truncate;
constexpr std::uint64_t of_files_alone =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | right_to_truncate;

void allow_below(int rules, const std::string& path, std::uint64_t rights) {
  const unique_fd place(checked(::open(path.c_str(), O_PATH | O_CLOEXEC),
                                ("opening a path that the sandbox allows: " + path).c_str()));
  struct stat status{};
  checked(::fstat(place.get(), &status), "fstat");
  landlock_path_beneath_attr rule{};
  rule.allowed_access = S_ISDIR(status.st_mode) ? rights : rights & of_files_alone;
  rule.parent_fd = place.get();
  checked(::syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0), "landlock_add_rule");
}

void restrict_files(const sandbox_options& sandbox) {
  // Landlock binds the thread that asks and those that it starts.
  if (std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}) != 1) {
    throw std::system_error(
        ENOTSUP, std::generic_category(),
        "sandbox: a static initialiser has started a thread, which Landlock would not bind");
  }
  const long version = landlock_version();
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = rights_of_version_1 | (version >= 2 ? right_to_refer : 0) |
                                 (version >= 3 ? right_to_truncate : 0) |
                                 (version >= 5 ? right_to_control_devices : 0);
  const unique_fd rules(static_cast<int>(checked(
      ::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0), "landlock_create_ruleset")));
  for (const std::string& path : sandbox.readable)
    allow_below(rules.get(), path, reading & attributes.handled_access_fs);
  for (const std::string& path : sandbox.writable)
    allow_below(rules.get(), path, writing & attributes.handled_access_fs);
  checked(::syscall(SYS_landlock_restrict_self, rules.get(), 0), "landlock_restrict_self");
}

void limit(__rlimit_resource which, std::uint64_t value) {
  rlimit now{};
  checked(::getrlimit(which, &now), "getrlimit");
  const rlim_t most = std::min<rlim_t>(value, now.rlim_max);
  const rlimit wanted{.rlim_cur = most, .rlim_max = most};
  checked(::setrlimit(which, &wanted), "setrlimit");
}

std::uint64_t address_space_now() {
  std::uint64_t pages = 0;
  if (!(std::ifstream("/proc/self/statm") >> pages))
    throw std::system_error(ENOTSUP, std::generic_category(), "sandbox: /proc/self/statm cannot be read");
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

constinit std::atomic<std::uint32_t>* denied_call = nullptr;

/// On a system call that the filter denies. Only what may be done in a signal handler.
void on_denied(int, siginfo_t* info, void*) {
  const auto number = static_cast<std::uint32_t>(info->si_syscall);
  if (denied_call != nullptr) {
    denied_call->store(number + 1);
  } else {
    const std::string_view name = fatal_call_name(number);
    for (const std::string_view part :
         {std::string_view("fourfold: "), name.empty() ? std::string_view("an unusual system call") : name,
          std::string_view("(2) was denied by the sandbox\n")})
      static_cast<void>(!::write(STDERR_FILENO, part.data(), part.size()));
  }
  ::signal(SIGSYS, SIG_DFL);
  ::raise(SIGSYS); // blocked in here: it ends the process when this returns
}

void deny_system_calls(const sandbox_options& sandbox) {
  struct sigaction action{};
  action.sa_sigaction = &on_denied;
  action.sa_flags = SA_SIGINFO;
  checked(::sigaction(SIGSYS, &action, nullptr), "sigaction");
  std::vector<sock_filter> code = seccomp_filter(sandbox);
  const sock_fprog program{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
  // Also for threads that static initialisers have started.
  const long refused = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (refused != 0)
    throw_errno("seccomp", refused > 0 ? EBUSY : errno);
}

} // namespace

void require_support(const sandbox_options& sandbox) {
  const std::string missing = missing_for(sandbox);
  if (!missing.empty())
    throw std::system_error(ENOTSUP, std::generic_category(), "the sandbox needs " + missing);
}

void enter_sandbox(const sandbox_options& sandbox, std::atomic<std::uint32_t>* denied) {
  require_support(sandbox);
  denied_call = denied;
  ::setenv("FOURFOLD_REACTOR", "epoll", 1); // io_uring would get around the filter
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, sandbox.file_bytes);
  if (sandbox.memory_bytes != 0)
    limit(RLIMIT_AS, address_space_now() + sandbox.memory_bytes);
  checked(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)");
  if (names_files(sandbox))
    restrict_files(sandbox);
  limit(RLIMIT_NOFILE, sandbox.descriptors);
  deny_system_calls(sandbox);
}

void renew_cpu_time(std::uint32_t seconds) noexcept {
  // The clock that the limit goes by, MAKE_PROCESS_CPUCLOCK(0, CPUCLOCK_PROF) of the kernel: counted in ticks, it may
  // be far ahead of CLOCK_PROCESS_CPUTIME_ID on a busy virtual machine.
  constexpr auto profiling_clock = static_cast<clockid_t>(~0U << 3U);
  timespec used{};
  ::clock_gettime(profiling_clock, &used);
  rlimit now{};
  ::getrlimit(RLIMIT_CPU, &now);
  now.rlim_cur = std::min<rlim_t>(static_cast<rlim_t>(used.tv_sec) + 1 + seconds, now.rlim_max);
  ::setrlimit(RLIMIT_CPU, &now);
}

std::string name_of_system_call(std::uint32_t number) {
  const std::string_view name = fatal_call_name(number);
  return name.empty() ? "system call " + std::to_string(number) : std::string(name) + "(2)";
}

std::string why_sandbox_ended(int signal, std::uint32_t denied) {
  if (signal == SIGSYS && denied != 0)
    return name_of_system_call(denied - 1) + " was denied by the sandbox";
  if (signal == SIGSYS)
    return "a system call was denied by the sandbox";
  if (signal == SIGXCPU)
    return "the sandbox's limit of CPU time was reached";
  if (signal == SIGXFSZ)
    return "the sandbox's limit of file size was reached";
  return {};
}

} // namespace fourfold::detail

namespace fourfold {

std::string missing_for(const sandbox_options& sandbox) {
  if (!detail::seccomp_can_trap())
    return "seccomp filters, which this kernel does not have";
  if (detail::names_files(sandbox) && detail::landlock_version() < 1)
    return "Landlock for the paths that it allows, which this kernel does not have or has switched off";
  return {};
}

} // namespace fourfold
