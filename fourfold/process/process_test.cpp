#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/process/process.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/process/worker_template.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

void nothing() {}
void exit_with(int status) { std::exit(status); }
void sleep_for_ever() {
  for (;;)
    ::pause();
}
void ignore_termination_and_sleep(const std::string& say_so) {
  ::signal(SIGTERM, SIG_IGN);
  std::ofstream(say_so) << "ready";
  sleep_for_ever();
}
void write_to(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
void write_parent_to(const std::string& path) { std::ofstream(path) << ::getppid(); }
task<> wait_and_write(std::string path) {
  co_await sleep(1ms);
  write_to(path, "from a coroutine");
}
void print_and_throw(const std::string& text) {
  std::printf("printed\n");
  throw std::runtime_error(text);
}
void die_by(int signal) {
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

/// A folder of the test's own, which ends with it.
class scratch_folder {
 public:
  scratch_folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fourfold-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~scratch_folder() { std::filesystem::remove_all(path_); }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void wait_for_file(const std::string& path) {
  while (contents(path).empty())
    std::this_thread::yield();
}

class process_by_method : public testing::TestWithParam<start_method> {};
INSTANTIATE_TEST_SUITE_P(start, process_by_method,
                         testing::Values(start_method::from_template, start_method::fresh_execution),
                         [](const auto& tested) {
                           return tested.param == start_method::from_template ? "from_template"
                                                                              : "fresh_execution";
                         });

TEST_P(process_by_method, runs_a_function_with_its_arguments) {
  const scratch_folder folder;
  process p({.start = GetParam()}, write_to, folder.file("note"),
            "a text of some length, so that it allocates");
  EXPECT_TRUE(p.joinable());
  EXPECT_GT(p.pid(), 0);
  EXPECT_NE(p.pid(), ::getpid());
  EXPECT_EQ(p.join(30s), exit_status{});
  EXPECT_EQ(contents(folder.file("note")), "a text of some length, so that it allocates");
  EXPECT_TRUE(p.join().success()) << "a second join gives the same";
}

TEST_P(process_by_method, runs_a_lambda_with_captures_and_a_coroutine_function) {
  const scratch_folder folder;
  const std::string path = folder.file("note");
  int captured = 40;
  process lambda(
      {.start = GetParam()},
      [captured](int n, const std::string& to) { write_to(to, std::to_string(captured + n)); }, 2, path);
  EXPECT_TRUE(lambda.join(30s).success());
  EXPECT_EQ(contents(path), "42");
  process coroutine({.start = GetParam()}, wait_and_write, path);
  EXPECT_TRUE(coroutine.join(30s).success());
  EXPECT_EQ(contents(path), "from a coroutine");
}

TEST_P(process_by_method, tells_how_it_has_ended) {
  const process_options options{.start = GetParam()};
  EXPECT_EQ(process(options, exit_with, 7).join(30s), exit_status{.code = 7});
  process killed(options, die_by, SIGKILL);
  EXPECT_EQ(killed.join(30s), exit_status{.signal = SIGKILL});
  EXPECT_EQ(to_string(killed.join()), "was killed by signal 9 (SIGKILL)");
  EXPECT_EQ(process(options, die_by, SIGTERM).join(30s).signal, SIGTERM);
  EXPECT_EQ(to_string(exit_status{.code = 3}), "exited with status 3");
  EXPECT_EQ(to_string(exit_status{.signal = SIGSEGV, .core_dumped = true}),
            "was killed by signal 11 (SIGSEGV), core dumped");
}

TEST_P(process_by_method, an_exception_is_written_to_standard_error_and_the_status_is_1) {
  const scratch_folder folder;
  const std::string errors = folder.file("errors");
  // The template hands on the standard error that the program had when it was started.
  const pid_t program = ::fork();
  if (program == 0) {
    const int file = ::open(errors.c_str(), O_WRONLY | O_CREAT, 0600);
    ::dup2(file, STDERR_FILENO);
    ::dup2(file, STDOUT_FILENO);
    const auto status =
        process({.name = "thrower", .start = GetParam()}, print_and_throw, "out of luck").join(30s);
    ::_exit(status == exit_status{.code = 1} ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(program, &status, 0), program);
  EXPECT_EQ(status, 0);
  const std::string text = contents(errors);
  EXPECT_NE(text.find("the process 'thrower' ends: std::runtime_error: out of luck"), std::string::npos)
      << text;
  EXPECT_NE(text.find("printed\n"), std::string::npos) << "what it has printed is not lost: " << text;
}

TEST_P(process_by_method, has_a_name_that_ps_shows) {
  process p({.name = "a-very-long-name-of-a-process", .start = GetParam()}, sleep_for_ever);
  EXPECT_EQ(p.name(), "a-very-long-name-of-a-process");
  const std::string file = "/proc/" + std::to_string(p.pid()) + "/comm";
  while (contents(file) != "a-very-long-nam\n")
    ASSERT_FALSE(p.status().has_value());
}

TEST(process, is_terminated_and_reaped_when_nobody_joins_it) {
  pid_t pid = 0;
  {
    const process p(sleep_for_ever);
    pid = p.pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1) << "it is reaped, not only dead";
}

TEST(process, that_ignores_termination_is_killed_when_nobody_joins_it) {
  const scratch_folder folder;
  pid_t pid = 0;
  {
    const process p(ignore_termination_and_sleep, folder.file("ready"));
    wait_for_file(folder.file("ready"));
    pid = p.pid();
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(process, that_was_stopped_by_a_signal_still_ends) {
  pid_t pid = 0;
  {
    process p(sleep_for_ever);
    pid = p.pid();
    p.send_signal(SIGSTOP);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(process, ends_by_terminate_and_by_kill) {
  process terminated(sleep_for_ever);
  EXPECT_FALSE(terminated.status().has_value());
  terminated.terminate();
  EXPECT_EQ(terminated.join(30s), exit_status{.signal = SIGTERM});
  terminated.terminate(); // nothing happens
  process killed(sleep_for_ever);
  killed.kill();
  EXPECT_EQ(killed.join(30s), exit_status{.signal = SIGKILL});
}

TEST(process, join_ends_by_its_limit_and_by_cancellation_and_the_process_runs_on) {
  process p(sleep_for_ever);
  EXPECT_THROW(p.join(1ms), timed_out);
  EXPECT_THROW(p.join(clock::now() - 1s), timed_out);
  cancellation_source source;
  std::jthread canceller([&] { source.request_cancellation(); });
  EXPECT_THROW(p.join(source.token()), cancelled);
  EXPECT_FALSE(p.status().has_value());
  p.kill();
  EXPECT_EQ(p.join({30s, {}}).signal, SIGKILL);
  EXPECT_EQ(p.join(clock::now() - 1s).signal, SIGKILL) << "an expired limit still takes what is there";
}

TEST(process, is_awaited_from_a_loop) {
  run([]() -> task<> {
    process quick(nothing);
    EXPECT_TRUE((co_await quick.async_join()).success());
    EXPECT_TRUE((co_await quick.async_join()).success());
    process slow(sleep_for_ever);
    bool ran_out = false;
    try {
      co_await timeout(1ms, slow.async_join());
    } catch (const timed_out&) {
      ran_out = true;
    }
    EXPECT_TRUE(ran_out);
    slow.terminate();
    EXPECT_EQ((co_await slow.async_join()).signal, SIGTERM);
  }());
}

TEST(process, threads_and_coroutines_join_it_together) {
  process p(sleep_for_ever);
  std::vector<exit_status> seen(5);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < 3; ++i)
      threads.emplace_back([&, i] { seen[i] = p.join(30s); });
    threads.emplace_back([&] {
      const auto [first, second] = run(gather(p.async_join(), p.async_join()));
      seen[3] = first;
      seen[4] = second;
    });
    p.kill();
  }
  for (const exit_status& one : seen)
    EXPECT_EQ(one.signal, SIGKILL);
}

TEST(process, is_moved_and_an_empty_one_says_so) {
  process empty;
  EXPECT_FALSE(empty.joinable());
  EXPECT_THROW(static_cast<void>(empty.pid()), error);
  process p(sleep_for_ever);
  const pid_t first = p.pid();
  process moved = std::move(p);
  EXPECT_FALSE(p.joinable());
  EXPECT_EQ(moved.pid(), first);
  moved = process(nothing);
  EXPECT_EQ(::kill(first, 0), -1) << "assignment ends what was held";
  EXPECT_TRUE(moved.join(30s).success());
}

TEST(process, ends_with_the_program_however_that_ends) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  const pid_t program = ::fork();
  if (program == 0) {
    const process p(sleep_for_ever);
    const pid_t pid = p.pid();
    static_cast<void>(!::write(pipe[1], &pid, sizeof pid));
    sleep_for_ever();
  }
  pid_t pid = 0;
  ASSERT_EQ(::read(pipe[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  ASSERT_GE(pidfd, 0);
  ASSERT_EQ(::kill(program, SIGKILL), 0);
  ASSERT_EQ(::waitpid(program, nullptr, 0), program);
  pollfd ended{.fd = pidfd, .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&ended, 1, 20'000), 1);
  for (const int fd : {pidfd, pipe[0], pipe[1]})
    ::close(fd);
}

TEST(process, is_reported_as_killed_when_the_template_is_and_the_next_one_starts) {
  const scratch_folder folder;
  process first(write_parent_to, folder.file("template"));
  ASSERT_TRUE(first.join(30s).success());
  process p(sleep_for_ever);
  ASSERT_EQ(::kill(std::stoi(contents(folder.file("template"))), SIGKILL), 0);
  EXPECT_EQ(p.join(30s).signal, SIGKILL);
  EXPECT_TRUE(process(nothing).join(30s).success());
}

TEST(process, processes_and_pools_share_one_template_which_ends_with_the_last_of_them) {
  const scratch_folder folder;
  const auto template_of_a_process = [&] {
    process p(write_parent_to, folder.file("template"));
    EXPECT_TRUE(p.join(30s).success());
    return std::stoi(contents(folder.file("template")));
  };
  pid_t shared = 0;
  {
    const worker_template keep;
    shared = template_of_a_process();
    EXPECT_EQ(template_of_a_process(), shared);
    process_pool pool({.workers = 1});
    EXPECT_EQ(pool.submit([] { return ::getppid(); }).get(30s), shared);
  }
  EXPECT_EQ(::kill(shared, 0), -1) << "the template is left";
}

TEST(process, many_start_at_once_from_many_threads) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 5; ++i)
        EXPECT_EQ(process(exit_with, t * 10 + i).join(60s), exit_status{.code = t * 10 + i});
    });
  }
}

TEST(process, leaves_no_descriptor) {
  const auto open_descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator());
  };
  const auto before = open_descriptors();
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(process(nothing).join(30s).success());
  {
    const process unjoined(sleep_for_ever);
  }
  EXPECT_EQ(open_descriptors(), before);
}

} // namespace
} // namespace fourfold
