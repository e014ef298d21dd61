#include "page_server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>
#include <system_error>

#include "errors.hpp"

namespace fourfold::tool {
namespace {

struct pipe_ends {
  int reads = -1;
  int writes = -1;
};

pipe_ends make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw std::system_error(errno, std::generic_category(), "pipe");
  return {ends[0], ends[1]};
}

// With the standard signals as a fresh program has them: the parent blocks some.
pid_t start(const std::string& port, int input, int output) {
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);

  std::string program = "fourfold";
  std::string command = "serve-pages";
  std::string option = "--port=" + port;
  std::array<char*, 4> arguments = {program.data(), command.data(), option.data(), nullptr};
  pid_t child = -1;
  const int failure = ::posix_spawn(&child, "/proc/self/exe", &files, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  if (failure != 0)
    throw std::system_error(failure, std::generic_category(), "cannot start the page server");
  return child;
}

std::string first_line(int descriptor) {
  std::string line;
  char character = 0;
  for (;;) {
    const ssize_t got = ::read(descriptor, &character, 1);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0 || character == '\n')
      return line;
    line += character;
  }
}

} // namespace

page_server::page_server(std::uint16_t port) {
  const pipe_ends input = make_pipe();
  const pipe_ends output = make_pipe();
  lifeline_ = input.writes;
  pid_ = start(std::to_string(port), input.reads, output.writes);
  ::close(input.reads);
  ::close(output.writes);
  const std::string line = first_line(output.reads);
  ::close(output.reads);

  constexpr std::string_view good = "listening ";
  constexpr std::string_view bad = "error ";
  if (line.starts_with(good)) {
    std::from_chars(line.data() + good.size(), line.data() + line.size(), port_);
    return;
  }
  ::close(lifeline_);
  ::waitpid(pid_, nullptr, 0);
  const std::string reason = line.starts_with(bad) ? line.substr(bad.size()) : "it ended before it listened";
  throw usage_error(port == 0 ? fmt::format("the page server cannot listen on loopback: {}", reason)
                              : fmt::format("the page server cannot listen on port {}: {}", port, reason));
}

page_server::~page_server() {
  ::close(lifeline_);
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

} // namespace fourfold::tool
