#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace fourfold {

/// What a locked-down process may still do. It computes, allocates, starts threads, writes to standard output and
/// error, and answers its pool. Everything else is denied by the kernel: opening files, sockets, other programs and
/// processes, debugging or signalling others, and every system call that is not known to be harmless.
///
///   process_pool parsers({.workers = 2, .sandbox = sandbox_options{.memory_bytes = 256 << 20}});
///   process_pool readers({.sandbox = sandbox_options{.readable = {"/usr/share/fonts"}}});
///
/// How a denial shows:
/// - Files, directories and their attributes: the call fails with EACCES, as for lack of permission, so `fopen` and
///   std::ifstream fail as they always do.
/// - Sockets, starting processes, debugging and everything unusual: the process ends by SIGSYS. The call gets
///   `worker_died`, whose text names the system call: "... socket(2) was denied by the sandbox".
/// - Too much memory: std::bad_alloc. Too much CPU time: `worker_died` by SIGXCPU. Too large a file: `worker_died`
///   by SIGXFSZ. Too many descriptors: EMFILE.
///
/// The lock closes after the initialiser of the pool has run, which therefore may still open and load things.
/// If the kernel lacks what is asked for, making the pool or process throws std::system_error (ENOTSUP), and nothing
/// runs.
///
/// Bad at: hiding. Code that was taken over can tell by attributes whether a path exists, can use all of its CPU,
/// and can raise its own limit of CPU time, though no other; a time limit on the call holds regardless. With
/// `network`, nothing restricts whom it talks to.
struct sandbox_options {
  /// Files, or folders with all that is in them, that may be read; none by default. They must exist when a worker
  /// starts. Needs Landlock (Linux 5.13).
  std::vector<std::string> readable = {};
  /// The same for writing, making and removing files, too.
  std::vector<std::string> writable = {};
  /// Whether sockets may be used.
  bool network = false;
  /// Address space beyond what the process has at its start; also what is only reserved counts, such as 8 MiB for each
  /// thread's stack. 0: no limit.
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;
  /// CPU time for each call of a pool, or for all of a process, of all its threads; rounded up by less than a second.
  /// For coroutine calls: between the beginnings of two calls on the worker. 0: no limit.
  std::chrono::seconds cpu_time{0};
  /// The largest file that may be written, which bounds results, too, since large ones travel as memory files.
  std::uint64_t file_bytes = std::uint64_t{64} << 20;
  /// How many descriptors may be open, the library's own (about a dozen) among them.
  std::uint32_t descriptors = 64;
};

/// Whether the kernel has what such a sandbox needs; says what is missing, or is empty. The pool and the process
/// ask by themselves.
[[nodiscard]] std::string missing_for(const sandbox_options& sandbox);

} // namespace fourfold
