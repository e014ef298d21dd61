#include <fourfold/base/errors.hpp>
#include <fourfold/process/code_address.hpp>
#include <fourfold/process/detail/system_call.hpp>
#include <fourfold/process/detail/template_mark.hpp>
#include <fourfold/process/detail/template_process.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace fourfold::detail {
namespace {

/// posix_spawn's two argument objects, destroyed with the scope.
struct spawn_arguments {
  spawn_arguments() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~spawn_arguments() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  spawn_arguments(const spawn_arguments&) = delete;
  spawn_arguments& operator=(const spawn_arguments&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

std::vector<std::string> environment_with_mark() {
  char** end = environ;
  while (end != nullptr && *end != nullptr)
    ++end;
  std::vector<std::string> environment(environ, end);
  environment.push_back(std::string(template_mark_variable) + "=" + std::to_string(template_mark_descriptor));
  return environment;
}

void must(int result, const char* call) {
  if (result != 0)
    throw_errno(call, result);
}

/// Executes the program itself, with `control` as its descriptor 3 and every other but the standard ones
/// closed.
pid_t start_self(int control) {
  spawn_arguments arguments;
  // Signals as in a fresh program: the thread that makes a pool may have blocked some.
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  must(posix_spawnattr_setsigmask(&arguments.attributes, &none), "posix_spawnattr_setsigmask");
  must(posix_spawnattr_setsigdefault(&arguments.attributes, &all), "posix_spawnattr_setsigdefault");
  must(posix_spawnattr_setflags(&arguments.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF),
       "posix_spawnattr_setflags");
  must(posix_spawn_file_actions_addopen(&arguments.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0),
       "file actions");
  // Also where the two numbers are equal: then dup2 clears close-on-exec.
  must(posix_spawn_file_actions_adddup2(&arguments.actions, control, template_mark_descriptor),
       "file actions");
  must(posix_spawn_file_actions_addclosefrom_np(&arguments.actions, template_mark_descriptor + 1),
       "file actions");

  std::vector<std::string> environment = environment_with_mark();
  std::vector<char*> environment_pointers;
  environment_pointers.reserve(environment.size() + 1);
  for (std::string& entry : environment)
    environment_pointers.push_back(entry.data());
  environment_pointers.push_back(nullptr);
  std::string name = "fourfold-template";
  std::array<char*, 2> argv{name.data(), nullptr};
  pid_t pid = -1;
  must(posix_spawn(&pid, "/proc/self/exe", &arguments.actions, &arguments.attributes, argv.data(),
                   environment_pointers.data()),
       "starting the worker template (executing /proc/self/exe)");
  return pid;
}

} // namespace

std::uint64_t build_mark() { return to_code_address(reinterpret_cast<const void*>(&build_mark)).offset; }

template_process::template_process() {
  link_template_initialiser();
  if (this_process_is_template()) {
    throw error(
        "a process_pool was made by a static initialiser: the template that it starts would run that, too, "
        "and start another; make it in main()");
  }
  auto [ours, theirs] = make_socket_pair();
  control_ = std::move(ours);
  pid_ = start_self(theirs.get());
  theirs.reset();
  try {
    const template_greeting hello{.build = build_mark(), .parent = ::getpid()};
    if (!send_with_descriptors(control_.get(), std::as_bytes(std::span(&hello, 1)), {}, true)) {
      throw error("the worker template ended before it could be greeted");
    }
    // A program whose static initialisers take longer is not one that starts workers quickly; saying so beats
    // hanging.
    constexpr int ten_seconds = 10'000;
    pollfd answer{.fd = control_.get(), .events = POLLIN, .revents = 0};
    int ready = 0;
    do {
      ready = ::poll(&answer, 1, ten_seconds);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0)
      throw error(
          "the worker template did not answer within 10 s: does the program execute itself as expected?");
    template_greeting greeting{.magic = 0};
    const auto received =
        receive_with_descriptors(control_.get(), std::as_writable_bytes(std::span(&greeting, 1)), true);
    if (received.size != sizeof greeting || greeting.magic != template_greeting::expected_magic) {
      throw error(
          "the worker template ended during its start; a static initialiser of the program may have failed");
    }
    if (greeting.build != hello.build)
      throw error("the worker template is another build of the program");
  } catch (...) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    throw;
  }
}

template_process::~template_process() {
  // Its socket's end tells it to kill and reap its workers and to end; also where a child of the program, forked
  // meanwhile, still holds the socket. If it does not (stopped by SIGSTOP, say), it is killed, and they with it.
  ::shutdown(control_.get(), SHUT_RDWR);
  control_.reset();
  const unique_fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  constexpr int five_seconds = 5'000;
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  if (!process || ::poll(&ended, 1, five_seconds) <= 0)
    ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool template_process::start_worker(const start_request& request, const channel_descriptors& channel) {
  const std::array<int, channel_descriptors::count> descriptors{
      channel.memory.get(), channel.worker_bell.get(), channel.driver_bell.get(), channel.service_bell.get(),
      channel.socket.get()};
  return send_with_descriptors(control_.get(), std::as_bytes(std::span(&request, 1)), descriptors, true);
}

template_process::notice_or_end template_process::next_notice() {
  worker_notice notice;
  auto received =
      receive_with_descriptors(control_.get(), std::as_writable_bytes(std::span(&notice, 1)), false);
  if (received.what == received_message::state::nothing)
    return {};
  if (received.size != sizeof notice)
    return {.notice = {}, .pidfd = {}, .ended = true};
  return {.notice = notice, .pidfd = std::move(received.descriptors[0]), .ended = false};
}

} // namespace fourfold::detail
