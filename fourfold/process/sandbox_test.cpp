// Locked-down workers: what is denied, how it shows, and that the pool goes on.

#include <fourfold/base/errors.hpp>
#include <fourfold/base/sanitizers.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/process/process.hpp>
#include <fourfold/process/process_pool.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

int add(int a, int b) { return a + b; }

/// The error that opening a file gives, or 0.
int try_to_open(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (fd < 0)
    return errno;
  ::close(fd);
  return 0;
}
bool stream_opens(const std::string& path) { return std::ifstream(path).is_open(); }
std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}
int try_to_remove(const std::string& path) { return ::unlink(path.c_str()) == 0 ? 0 : errno; }
int try_to_kill(pid_t pid) { return ::kill(pid, 0) == 0 ? 0 : errno; }
/// The kernel signals the owner of a file when something happens there.
int try_to_have_signalled(pid_t pid) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return -1;
  if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
    return -2; // that much is allowed
  if (::fcntl(ends[0], F_SETFL, O_NONBLOCK | O_ASYNC) == 0)
    return -3;
  return ::fcntl(ends[0], F_SETOWN, pid) == 0 ? 0 : errno;
}

/// The eventfds that this process has.
std::vector<int> all_bells() {
  std::vector<int> bells;
  for (int fd = 3; fd < 64; ++fd) {
    struct stat status{};
    const std::uint64_t nothing = 0;
    if (::fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == 0 &&
        ::write(fd, &nothing, sizeof nothing) == static_cast<ssize_t>(sizeof nothing))
      bells.push_back(fd);
  }
  return bells;
}
void fill_bells() {
  const auto bells = all_bells();
  for (const int bell : bells)
    ::fcntl(bell, F_SETFL, 0); // to block who rings it
  for (;;) {
    for (const int bell : bells) {
      pollfd writable{.fd = bell, .events = POLLOUT, .revents = 0};
      const std::uint64_t most = 0xffff'ffff'ffff'fffeULL;
      if (::poll(&writable, 1, 0) > 0 && (writable.revents & POLLOUT) != 0)
        static_cast<void>(!::write(bell, &most, sizeof most));
    }
  }
}
void take_bells() {
  const auto bells = all_bells();
  for (;;) {
    for (const int bell : bells) {
      pollfd rung{.fd = bell, .events = POLLIN, .revents = 0};
      std::uint64_t count = 0;
      if (::poll(&rung, 1, 0) > 0 && (rung.revents & POLLIN) != 0)
        static_cast<void>(!::read(bell, &count, sizeof count));
    }
  }
}
void make_socket() { ::socket(AF_INET, SOCK_STREAM, 0); }
void execute() { ::execl("/bin/true", "true", nullptr); }
void fork_once() {
  if (::fork() == 0)
    ::_exit(0);
}
void trace_parent() { ::ptrace(PTRACE_ATTACH, ::getppid(), nullptr, nullptr); }
void unknown_call() { ::syscall(1'000'000); }
std::size_t allocate(std::size_t bytes) {
  std::vector<char> memory(bytes, 'm');
  return memory.size();
}
void burn() {
  for (std::atomic<std::uint64_t> n = 0;; ++n) {
  }
}
void burn_for(std::chrono::milliseconds time) {
  timespec begin{};
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
  do {
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  } while ((now.tv_sec - begin.tv_sec) * 1'000 + (now.tv_nsec - begin.tv_nsec) / 1'000'000 < time.count());
}
void write_file(const std::string& path, std::size_t bytes) {
  std::ofstream file(path);
  const std::string block(64 * 1024, 'b');
  for (std::size_t written = 0; written < bytes && file; written += block.size())
    file << block;
}
std::string model;
void load_model(const std::string& path) { model = read_file(path); }
std::string repeat(std::size_t n) { return std::string(n, 'r'); }
int open_many() {
  int opened = 0;
  while (::dup(STDOUT_FILENO) >= 0)
    ++opened;
  return opened;
}
int sum_with_threads(int n) {
  std::atomic<int> sum = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] { sum += n; });
  }
  return sum;
}
task<int> slept(int n) {
  co_await sleep(1ms);
  co_return n;
}
void abort_here() {
  ::signal(SIGABRT, SIG_DFL);
  std::abort();
}

class sandbox : public testing::Test {
 protected:
  void SetUp() override {
    const std::string missing = missing_for({.readable = {"/"}});
    if (!missing.empty())
      GTEST_SKIP() << "this kernel lacks " << missing;
  }
  void TearDown() override {
    if (!folder_.empty())
      std::filesystem::remove_all(folder_);
  }
  /// Whether named paths can be opened up here.
  static bool can_name_paths() { return !under_thread_sanitizer; }
  std::filesystem::path folder() {
    if (folder_.empty()) {
      std::string pattern = (std::filesystem::temp_directory_path() / "fourfold-XXXXXX").string();
      folder_ = ::mkdtemp(pattern.data());
    }
    return folder_;
  }
  template <class... A>
  static void expect_death(process_pool& pool, int signal, const std::string& reason, A... call) {
    try {
      pool.submit(call...).get(60s);
      FAIL() << "it was not denied: " << reason;
    } catch (const worker_died& e) {
      EXPECT_EQ(e.signal(), signal) << e.what();
      EXPECT_NE(std::string(e.what()).find(reason), std::string::npos) << e.what();
    }
    EXPECT_EQ(pool.submit(add, 20, 22).get(60s), 42) << "the pool does not go on";
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(sandbox, lets_a_worker_compute_allocate_sleep_start_threads_and_send_large_results) {
  for (const start_method start : {start_method::from_template, start_method::fresh_execution}) {
    process_pool pool({.workers = 2, .start = start, .sandbox = sandbox_options{}});
    EXPECT_EQ(pool.submit(add, 1, 2).get(60s), 3);
    EXPECT_EQ(pool.submit(allocate, std::size_t{10'000'000}).get(60s), 10'000'000U);
    EXPECT_EQ(pool.submit(repeat, std::size_t{2'000'000}).get(60s).size(), 2'000'000U);
    EXPECT_EQ(
        pool.submit([](const std::string& s) { return s.size(); }, std::string(2'000'000, 'a')).get(60s),
        2'000'000U);
    EXPECT_EQ(pool.submit(sum_with_threads, 3).get(60s), 12);
    std::vector<future<int>> coroutines;
    for (int i = 0; i < 20; ++i)
      coroutines.push_back(pool.submit(slept, i));
    for (int i = 0; i < 20; ++i)
      EXPECT_EQ(coroutines[static_cast<std::size_t>(i)].get(60s), i);
    EXPECT_EQ(pool.statistics().workers_replaced, 0U);
  }
}

TEST_F(sandbox, denies_files_as_a_lack_of_permission_does) {
  std::ofstream(folder() / "there") << "text";
  process_pool pool({.workers = 1, .sandbox = sandbox_options{}});
  EXPECT_EQ(pool.submit(try_to_open, (folder() / "there").string(), O_RDONLY).get(60s), EACCES);
  EXPECT_EQ(pool.submit(try_to_open, (folder() / "new").string(), O_WRONLY | O_CREAT).get(60s), EACCES);
  EXPECT_EQ(pool.submit(try_to_open, "/proc/self/mem", O_RDWR).get(60s), EACCES);
  EXPECT_FALSE(pool.submit(stream_opens, "/etc/passwd").get(60s));
  EXPECT_EQ(pool.submit(try_to_remove, (folder() / "there").string()).get(60s), EACCES);
  EXPECT_EQ(pool.statistics().workers_replaced, 0U);
}

TEST_F(sandbox, opens_what_it_names_and_nothing_beside_it) {
  if (!can_name_paths())
    GTEST_SKIP() << "the sanitizer has a thread of its own in each process, which Landlock would not bind";
  std::filesystem::create_directory(folder() / "in");
  std::filesystem::create_directory(folder() / "out");
  std::ofstream(folder() / "in" / "text") << "a text";
  std::ofstream(folder() / "secret") << "a secret";
  std::filesystem::create_symlink(folder() / "secret", folder() / "in" / "link");
  process_pool pool(
      {.workers = 1,
       .sandbox = sandbox_options{.readable = {folder() / "in"}, .writable = {folder() / "out"}}});
  EXPECT_EQ(pool.submit(read_file, (folder() / "in" / "text").string()).get(60s), "a text");
  EXPECT_EQ(pool.submit(try_to_open, (folder() / "in" / "text").string(), O_RDWR).get(60s), EACCES);
  EXPECT_EQ(pool.submit(try_to_open, (folder() / "in" / "new").string(), O_WRONLY | O_CREAT).get(60s),
            EACCES);
  EXPECT_EQ(pool.submit(try_to_open, (folder() / "secret").string(), O_RDONLY).get(60s), EACCES);
  EXPECT_EQ(pool.submit(try_to_open, (folder() / "in" / "link").string(), O_RDONLY).get(60s), EACCES);
  EXPECT_EQ(pool.submit(try_to_open, (folder() / "in" / ".." / "secret").string(), O_RDONLY).get(60s),
            EACCES);
  EXPECT_EQ(pool.submit(try_to_open, (folder() / "out" / "new").string(), O_WRONLY | O_CREAT).get(60s), 0);
  EXPECT_EQ(pool.submit(try_to_remove, (folder() / "out" / "new").string()).get(60s), 0);
}

TEST_F(sandbox, a_path_that_does_not_exist_ends_the_pool_with_its_name) {
  if (!can_name_paths())
    GTEST_SKIP() << "the sanitizer has a thread of its own in each process, which Landlock would not bind";
  process_pool pool({.workers = 1, .sandbox = sandbox_options{.readable = {folder() / "missing"}}});
  try {
    pool.submit(add, 1, 1).get(60s);
    FAIL();
  } catch (const pool_closed& e) {
    EXPECT_NE(std::string(e.what()).find((folder() / "missing").string()), std::string::npos) << e.what();
  }
}

TEST_F(sandbox, a_system_call_that_it_denies_ends_the_worker_and_is_named) {
  if (under_thread_sanitizer)
    GTEST_SKIP() << "ThreadSanitizer cannot take a signal in the middle of its fork()";
  process_pool pool({.workers = 1, .sandbox = sandbox_options{}});
  expect_death(pool, SIGSYS, "socket(2) was denied by the sandbox", make_socket);
  expect_death(pool, SIGSYS, "execve(2) was denied by the sandbox", execute);
  expect_death(pool, SIGSYS, "clone(2) was denied by the sandbox", fork_once);
  expect_death(pool, SIGSYS, "ptrace(2) was denied by the sandbox", trace_parent);
  expect_death(pool, SIGSYS, "system call 1000000 was denied by the sandbox", unknown_call);
}

TEST_F(sandbox, a_crash_is_still_reported_as_what_it_is) {
  process_pool pool({.workers = 1, .sandbox = sandbox_options{}});
  expect_death(pool, SIGABRT, "SIGABRT", abort_here);
}

TEST_F(sandbox, signals_to_others_are_denied) {
  process_pool pool({.workers = 1, .sandbox = sandbox_options{}});
  EXPECT_EQ(pool.submit(try_to_kill, ::getpid()).get(60s), EPERM);
}

TEST_F(sandbox, so_are_those_that_the_kernel_sends_for_a_file) {
  process_pool pool({.workers = 1, .sandbox = sandbox_options{}});
  EXPECT_EQ(pool.submit(try_to_have_signalled, ::getpid()).get(60s), EPERM);
}

TEST_F(sandbox, a_worker_that_fills_or_takes_what_wakes_others_stops_nobody_else) {
  for (const auto act : {fill_bells, take_bells}) {
    process_pool pool({.workers = 3, .sandbox = sandbox_options{}});
    EXPECT_EQ(pool.submit(add, 1, 2).get(60s), 3);
    auto bad = pool.submit(act);
    std::vector<future<int>> others;
    for (int i = 0; i < 20; ++i) {
      others.push_back(pool.submit({.time_limit = 50s}, add, i, 1));
      if (i % 2 == 0) {
        EXPECT_EQ(others.back().get(60s), i + 1);
      }
    }
    for (int i = 1; i < 20; i += 2)
      EXPECT_EQ(others[static_cast<std::size_t>(i)].get(60s), i + 1);
    pool.stop();
    EXPECT_ANY_THROW(bad.get(60s));
  }
}

TEST_F(sandbox, too_much_memory_is_a_bad_alloc) {
  if (under_address_sanitizer || under_thread_sanitizer)
    GTEST_SKIP() << "a sanitizer's allocator ends the process where others throw";
  process_pool pool({.workers = 1, .sandbox = sandbox_options{.memory_bytes = 64 << 20}});
  EXPECT_EQ(pool.submit(allocate, std::size_t{16} << 20).get(60s), std::size_t{16} << 20);
  EXPECT_THROW(pool.submit(allocate, std::size_t{256} << 20).get(60s), std::bad_alloc);
  EXPECT_EQ(pool.submit(add, 1, 1).get(60s), 2);
}

TEST_F(sandbox, too_much_cpu_time_in_one_call_ends_the_worker) {
  process_pool pool({.workers = 1, .sandbox = sandbox_options{.cpu_time = 1s}});
  expect_death(pool, SIGXCPU, "limit of CPU time", burn);
}

TEST_F(sandbox, cpu_time_is_counted_for_each_call_anew) {
  process_pool pool({.workers = 1, .sandbox = sandbox_options{.cpu_time = 2s}});
  for (int i = 0; i < 12; ++i)
    pool.submit(burn_for, 300ms).get(60s); // 3.6 s in all
  EXPECT_EQ(pool.statistics().workers_replaced, 0U);
}

TEST_F(sandbox, a_file_or_result_that_is_too_large_ends_the_worker) {
  if (!can_name_paths())
    GTEST_SKIP() << "the sanitizer has a thread of its own in each process, which Landlock would not bind";
  process_pool pool(
      {.workers = 1, .sandbox = sandbox_options{.writable = {folder()}, .file_bytes = 1 << 20}});
  pool.submit(write_file, (folder() / "small").string(), std::size_t{512} << 10).get(60s);
  expect_death(pool, SIGXFSZ, "limit of file size", write_file, (folder() / "large").string(),
               std::size_t{8} << 20);
  EXPECT_EQ(pool.submit(repeat, std::size_t{512} << 10).get(60s).size(), std::size_t{512} << 10);
  expect_death(pool, SIGXFSZ, "limit of file size", repeat, std::size_t{8} << 20);
}

TEST_F(sandbox, too_many_descriptors_are_refused) {
  process_pool pool({.workers = 1, .sandbox = sandbox_options{.descriptors = 40}});
  EXPECT_LT(pool.submit(open_many).get(60s), 40);
}

TEST_F(sandbox, an_initialiser_runs_before_the_lock_closes) {
  std::ofstream(folder() / "model") << "a model";
  process_pool pool({.workers = 1,
                     .initialiser = {load_model, (folder() / "model").string()},
                     .sandbox = sandbox_options{}});
  EXPECT_EQ(pool.submit([] { return model; }).get(60s), "a model");
  EXPECT_EQ(pool.submit(read_file, (folder() / "model").string()).get(60s), "");
}

TEST_F(sandbox, holds_for_a_process_too) {
  const process_options locked{.name = "locked", .sandbox = sandbox_options{.cpu_time = 1s}};
  EXPECT_TRUE(process(locked, [] { static_cast<void>(add(1, 1)); }).join(60s).success());
  EXPECT_EQ(process(locked, make_socket).join(60s).signal, SIGSYS);
  EXPECT_EQ(process(locked, burn).join(60s).signal, SIGXCPU);
  EXPECT_EQ(
      process(
          // Not exit(): LeakSanitizer has a process of its own then, which is denied, and gives its own status.
          locked, [](const std::string& path) { ::_exit(stream_opens(path) ? 0 : 7); }, "/etc/passwd")
          .join(60s)
          .code,
      7);
}

/// The kernel answers one system call of this process as if it did not have it.
void take_away(std::uint32_t call) {
  std::array<sock_filter, 4> code{{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
                                   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                                   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  const sock_fprog program{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    ::_exit(90);
}

template <class F>
bool is_not_supported(F start) {
  try {
    start();
  } catch (const std::system_error& e) {
    return e.code() == std::errc::not_supported;
  }
  return false;
}

TEST_F(sandbox, is_refused_on_a_kernel_that_lacks_a_part) {
  const pid_t program = ::fork();
  if (program == 0) {
    take_away(SYS_landlock_create_ruleset);
    const sandbox_options paths{.readable = {"/usr"}};
    if (!is_not_supported([&] { process_pool({.workers = 1, .sandbox = paths}); }))
      ::_exit(1);
    if (!is_not_supported([&] { process({.sandbox = paths}, make_socket); }))
      ::_exit(2);
    if (process_pool({.workers = 1, .sandbox = sandbox_options{}}).submit(add, 1, 1).get(60s) != 2)
      ::_exit(3); // without paths it is not needed
    take_away(SYS_seccomp);
    if (!is_not_supported([&] { process_pool({.workers = 1, .sandbox = sandbox_options{}}); }))
      ::_exit(4);
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(program, &status, 0), program);
  EXPECT_EQ(status, 0);
}

TEST_F(sandbox, sockets_are_there_if_they_are_allowed) {
  process_pool pool({.workers = 1, .sandbox = sandbox_options{.network = true}});
  EXPECT_GE(pool.submit([] { return ::socket(AF_INET, SOCK_STREAM, 0); }).get(60s), 0);
}

} // namespace
} // namespace fourfold
