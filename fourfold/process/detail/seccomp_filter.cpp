#include <fourfold/process/detail/seccomp_filter.hpp>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

// Calls that only one of the two architectures has, or that are younger than some C library's headers, stand in #ifs
// below: this is the one file that knows system calls by number.

namespace fourfold::detail {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_AARCH64;
#else
#error "Fourfold's sandbox knows x86-64 and aarch64"
#endif

// Those that happen often stand first: the kernel goes through the list from the start.
constexpr std::array harmless{
#if defined(__x86_64__)
    SYS_epoll_wait,
    SYS_poll,
    SYS_select,
    SYS_time,
    SYS_dup2,
    SYS_pause,
    SYS_alarm,
    SYS_getpgrp,
    SYS_arch_prctl,
    SYS_pipe,
#endif
#ifdef SYS_rseq
    SYS_rseq,
#endif
#ifdef SYS_futex_waitv
    SYS_futex_waitv,
#endif
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
    SYS_futex,
    SYS_read,
    SYS_write,
    SYS_epoll_pwait,
    SYS_ppoll,
    SYS_clock_gettime,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_getsockopt,
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_msync,
    SYS_mincore,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_close,
    SYS_lseek,
    SYS_fstat,
    SYS_fsync,
    SYS_fdatasync,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_flock,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_getdents64,
    SYS_fadvise64,
    SYS_copy_file_range,
    SYS_memfd_create,
    SYS_pselect6,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_eventfd2,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
    SYS_sendto,
    SYS_recvfrom,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_membarrier,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getcpu,
    SYS_set_tid_address,
    SYS_gettid,
    SYS_getpid,
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getpgid,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_times,
    SYS_getrusage,
    SYS_timer_create,
    SYS_timer_settime,
    SYS_timer_gettime,
    SYS_timer_getoverrun,
    SYS_timer_delete,
    SYS_getitimer,
    SYS_setitimer,
    SYS_getrandom,
    SYS_uname,
    SYS_sysinfo,
    SYS_getrlimit,
    SYS_exit,
    SYS_exit_group};

// What reaches files by name. Denied visibly, as code of every kind looks for files that may be missing: time zones,
// locales, /proc.
constexpr std::array looking{
#if defined(__x86_64__)
    SYS_open,       SYS_stat,   SYS_lstat,      SYS_access,    SYS_readlink,   SYS_getdents,
#endif
#ifdef SYS_faccessat2
    SYS_faccessat2,
#endif
#ifdef SYS_openat2
    SYS_openat2,
#endif
    SYS_openat,     SYS_statx,  SYS_newfstatat, SYS_faccessat, SYS_readlinkat, SYS_getcwd,
    SYS_statfs,     SYS_fstatfs};
constexpr std::array changing_files{
#if defined(__x86_64__)
    SYS_creat,   SYS_mkdir,    SYS_rmdir,     SYS_unlink,  SYS_rename, SYS_renameat,
#endif
    SYS_mkdirat, SYS_unlinkat, SYS_renameat2, SYS_truncate};
constexpr std::array never_files{
#if defined(__x86_64__)
    SYS_link,       SYS_symlink,    SYS_mknod,         SYS_chmod,     SYS_chown,     SYS_lchown,
    SYS_utime,      SYS_utimes,
#endif
    SYS_linkat,     SYS_symlinkat,  SYS_mknodat,       SYS_fchmod,    SYS_fchmodat,  SYS_fchown,
    SYS_fchownat,   SYS_utimensat,  SYS_chdir,         SYS_fchdir,    SYS_chroot,    SYS_setxattr,
    SYS_lsetxattr,  SYS_fsetxattr,  SYS_getxattr,      SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr,
    SYS_llistxattr, SYS_flistxattr, SYS_inotify_init1, SYS_umask};

constexpr std::array networking{
    SYS_socket,      SYS_socketpair,  SYS_connect,    SYS_bind,     SYS_listen,   SYS_accept,  SYS_accept4,
    SYS_getsockname, SYS_getpeername, SYS_setsockopt, SYS_shutdown, SYS_sendmmsg, SYS_recvmmsg};

// Younger, or replaceable: whoever calls them goes on without. clone3 hides its flags from the filter; io_uring would
// get around it.
constexpr std::array as_if_unknown{
    SYS_clone3,
    SYS_io_uring_setup,
};

struct named_call {
  std::uint32_t number;
  std::string_view name;
};
#define FOURFOLD_CALL(name)                                                                                  \
  named_call { SYS_##name, #name }
constexpr std::array fatal_names{
#if defined(__x86_64__)
    FOURFOLD_CALL(fork),
    FOURFOLD_CALL(vfork),
    FOURFOLD_CALL(iopl),
    FOURFOLD_CALL(ioperm),
#endif
    FOURFOLD_CALL(socket),
    FOURFOLD_CALL(socketpair),
    FOURFOLD_CALL(connect),
    FOURFOLD_CALL(bind),
    FOURFOLD_CALL(listen),
    FOURFOLD_CALL(accept),
    FOURFOLD_CALL(accept4),
    FOURFOLD_CALL(getsockname),
    FOURFOLD_CALL(getpeername),
    FOURFOLD_CALL(setsockopt),
    FOURFOLD_CALL(shutdown),
    FOURFOLD_CALL(sendmmsg),
    FOURFOLD_CALL(recvmmsg),
    FOURFOLD_CALL(execve),
    FOURFOLD_CALL(execveat),
    FOURFOLD_CALL(clone),
    FOURFOLD_CALL(wait4),
    FOURFOLD_CALL(waitid),
    FOURFOLD_CALL(ptrace),
    FOURFOLD_CALL(process_vm_readv),
    FOURFOLD_CALL(process_vm_writev),
    FOURFOLD_CALL(pidfd_open),
    FOURFOLD_CALL(pidfd_send_signal),
    FOURFOLD_CALL(mount),
    FOURFOLD_CALL(umount2),
    FOURFOLD_CALL(pivot_root),
    FOURFOLD_CALL(unshare),
    FOURFOLD_CALL(setns),
    FOURFOLD_CALL(bpf),
    FOURFOLD_CALL(perf_event_open),
    FOURFOLD_CALL(keyctl),
    FOURFOLD_CALL(add_key),
    FOURFOLD_CALL(request_key),
    FOURFOLD_CALL(userfaultfd),
    FOURFOLD_CALL(init_module),
    FOURFOLD_CALL(finit_module),
    FOURFOLD_CALL(delete_module),
    FOURFOLD_CALL(reboot),
    FOURFOLD_CALL(setuid),
    FOURFOLD_CALL(setgid),
    FOURFOLD_CALL(setresuid),
    FOURFOLD_CALL(setresgid),
    FOURFOLD_CALL(setgroups),
    FOURFOLD_CALL(capset),
    FOURFOLD_CALL(setrlimit),
    FOURFOLD_CALL(seccomp),
    FOURFOLD_CALL(shmget),
    FOURFOLD_CALL(shmat),
    FOURFOLD_CALL(semget),
    FOURFOLD_CALL(msgget),
    FOURFOLD_CALL(mq_open),
    FOURFOLD_CALL(name_to_handle_at),
    FOURFOLD_CALL(open_by_handle_at),
    FOURFOLD_CALL(io_setup),
    FOURFOLD_CALL(signalfd4),
    FOURFOLD_CALL(setsid),
    FOURFOLD_CALL(setpgid)};
#undef FOURFOLD_CALL

/// Appends instructions for one kind of decision each.
class filter_writer {
 public:
  filter_writer() {
    load(offsetof(seccomp_data, arch));
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0));
    finish(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
    // The x32 interface: the same calls by other numbers.
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));
    finish(SECCOMP_RET_KILL_PROCESS);
#endif
  }

  void decide(std::span<const int> calls, std::uint32_t action) {
    for (const int call : calls)
      decide(call, action);
  }
  void decide(int call, std::uint32_t action) {
    unless_equal(static_cast<std::uint32_t>(call), 1);
    finish(action);
  }
  /// For one call: allowed if that half of the argument is one of these, else `otherwise`.
  void allow_if_argument(int call, unsigned argument, std::span<const std::uint32_t> allowed,
                         std::uint32_t otherwise) {
    unless_equal(static_cast<std::uint32_t>(call), static_cast<std::uint8_t>(2 + 2 * allowed.size()));
    load_argument(argument);
    for (const std::uint32_t value : allowed) {
      unless_equal(value, 1);
      finish(SECCOMP_RET_ALLOW);
    }
    finish(otherwise);
  }
  /// fcntl: without the commands by which the kernel sends signals to others. Flags only with O_NONBLOCK, which is never
  /// cleared: a bell of the pool is a file that its workers share.
  void allow_file_control(std::uint32_t otherwise) {
    static constexpr std::array<std::uint32_t, 14> allowed{
        F_DUPFD,  F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,      F_GETFL,     F_GETLK,     F_SETLK,
        F_SETLKW, F_OFD_GETLK,     F_OFD_SETLK, F_OFD_SETLKW, F_ADD_SEALS, F_GET_SEALS, F_GETPIPE_SZ};
    unless_equal(SYS_fcntl, static_cast<std::uint8_t>(7 + 2 * allowed.size()));
    load_argument(1);
    for (const std::uint32_t command : allowed) {
      unless_equal(command, 1);
      finish(SECCOMP_RET_ALLOW);
    }
    unless_equal(F_SETFL, 4);
    load_argument(2);
    code_.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, O_NONBLOCK | O_ASYNC));
    unless_equal(O_NONBLOCK, 1);
    finish(SECCOMP_RET_ALLOW);
    finish(otherwise);
  }
  /// For one call: allowed if all of these bits of an argument are set, else `otherwise`.
  void allow_if_bits(int call, unsigned argument, std::uint32_t bits, std::uint32_t otherwise) {
    unless_equal(static_cast<std::uint32_t>(call), 5);
    load_argument(argument);
    code_.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits));
    unless_equal(bits, 1);
    finish(SECCOMP_RET_ALLOW);
    finish(otherwise);
  }
  /// prlimit64: of this process, reading any limit, or setting that of CPU time.
  void allow_own_limits(std::uint32_t otherwise) {
    unless_equal(SYS_prlimit64, 11);
    load_argument(0);
    unless_equal(0, 8); // this process
    load_argument(1);
    unless_equal(RLIMIT_CPU, 1);
    finish(SECCOMP_RET_ALLOW);
    load_argument(2); // the new limit: null
    unless_equal(0, 3);
    load(offsetof(seccomp_data, args[2]) + 4);
    unless_equal(0, 1);
    finish(SECCOMP_RET_ALLOW);
    finish(otherwise);
  }
  void finish(std::uint32_t action) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, action)); }
  [[nodiscard]] std::vector<sock_filter> take() { return std::move(code_); }

 private:
  void load(std::size_t offset) {
    code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }
  void load_argument(unsigned index) { load(offsetof(seccomp_data, args) + index * sizeof(std::uint64_t)); }
  /// Skips so many instructions unless the value is this one.
  void unless_equal(std::uint32_t value, std::uint8_t skip) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip));
  }

  std::vector<sock_filter> code_;
};

constexpr std::uint32_t fails_with(int error) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error);
}

} // namespace

std::vector<sock_filter> seccomp_filter(const sandbox_options& sandbox) {
  const bool reads = !sandbox.readable.empty() || !sandbox.writable.empty();
  const bool writes = !sandbox.writable.empty();
  const auto self = static_cast<std::uint32_t>(::getpid());
  filter_writer filter;
  filter.decide(harmless, SECCOMP_RET_ALLOW);
  filter.decide(as_if_unknown, fails_with(ENOSYS));
  // Threads, but no processes.
  filter.allow_if_bits(SYS_clone, 0, CLONE_THREAD | CLONE_VM, SECCOMP_RET_TRAP);
  // Signals to itself: abort() and raise().
  filter.allow_if_argument(SYS_kill, 0, std::array{self}, fails_with(EPERM));
  filter.allow_if_argument(SYS_tgkill, 0, std::array{self}, fails_with(EPERM));
  filter.allow_if_argument(
      SYS_prctl, 0, std::array<std::uint32_t, 3>{PR_SET_NAME, PR_GET_NAME, 0x53564d41 /* PR_SET_VMA */},
      fails_with(EPERM));
  // What isatty() and buffered streams ask.
  filter.allow_if_argument(SYS_ioctl, 1, std::array<std::uint32_t, 2>{TCGETS, FIONREAD}, fails_with(EPERM));
  filter.allow_file_control(fails_with(EPERM));
  filter.allow_own_limits(fails_with(EPERM));
  if (!reads) {
    // fstat() is this call, too, with an empty path.
    filter.allow_if_bits(SYS_newfstatat, 3, 0x1000 /* AT_EMPTY_PATH */, fails_with(EACCES));
  }
  filter.decide(looking, reads ? SECCOMP_RET_ALLOW : fails_with(EACCES));
  filter.decide(changing_files, writes ? SECCOMP_RET_ALLOW : fails_with(EACCES));
  filter.decide(never_files, fails_with(EACCES));
  if (sandbox.network)
    filter.decide(networking, SECCOMP_RET_ALLOW);
  filter.finish(SECCOMP_RET_TRAP);
  return filter.take();
}

std::string_view fatal_call_name(std::uint32_t number) noexcept {
  for (const named_call& one : fatal_names) {
    if (one.number == number)
      return one.name;
  }
  return {};
}

} // namespace fourfold::detail
