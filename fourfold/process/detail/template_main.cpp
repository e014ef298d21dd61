#include <fourfold/process/detail/system_call.hpp>
#include <fourfold/process/detail/template_mark.hpp>
#include <fourfold/process/detail/template_process.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <vector>

// The runtime's list of static initialisers of this module, from the linker.
// NOLINTBEGIN(readability-identifier-naming): the names are the linker's
extern "C" {
using initialiser = void (*)(int, char**, char**);
extern __attribute__((visibility("hidden"))) initialiser __init_array_start[];
extern __attribute__((visibility("hidden"))) initialiser __init_array_end[];
}
// NOLINTEND(readability-identifier-naming)

namespace fourfold::detail {
namespace {

constinit bool becoming_template = false;

/// A worker, as the template that forked it sees it.
struct child {
  std::uint32_t worker;
  std::uint32_t generation;
  pid_t pid;
  unique_fd pidfd;
};

int pidfd_open(pid_t pid) noexcept { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

void notify(int control, const worker_notice& notice, std::span<const int> pidfd = {}) {
  // The pool reads its notices at all times; if it has gone, so shall we, when the loop sees it.
  static_cast<void>(send_with_descriptors(control, std::as_bytes(std::span(&notice, 1)), pidfd, true));
}

/// In the forked child: keeps the channel's descriptors and nothing else of the template's, and dies with it.
[[noreturn]] void become_worker(const start_request& request, received_message& message, pid_t template_pid,
                                std::vector<child>& siblings, unique_fd& control, unique_fd& parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != template_pid)
    ::_exit(0); // the template died before the line above
  siblings.clear();
  control.reset();
  parent.reset();
  ::prctl(PR_SET_NAME, request.name.data());
  becoming_template = false; // tasks may make pools of their own
  channel_descriptors channel{.memory = std::move(message.descriptors[0]),
                              .worker_bell = std::move(message.descriptors[1]),
                              .driver_bell = std::move(message.descriptors[2]),
                              .service_bell = std::move(message.descriptors[3]),
                              .socket = std::move(message.descriptors[4])};
  serve_as_worker(request, std::move(channel));
}

void start_worker(const start_request& request, received_message message, std::vector<child>& children,
                  unique_fd& control, unique_fd& parent) {
  worker_notice notice{.worker = request.worker, .generation = request.generation};
  const pid_t template_pid = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0)
    become_worker(request, message, template_pid, children, control, parent);
  unique_fd pidfd(pid > 0 ? pidfd_open(pid) : -1);
  if (!pidfd) {
    notice.what = worker_notice::event::failed;
    notice.exit_code = errno;
    if (pid > 0) { // forked, but it could not be watched
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    return notify(control.get(), notice);
  }
  notice.pid = pid;
  const std::array<int, 1> descriptor{pidfd.get()};
  notify(control.get(), notice, descriptor);
  children.push_back(
      {.worker = request.worker, .generation = request.generation, .pid = pid, .pidfd = std::move(pidfd)});
}

void report_exit(int control, const child& ended) {
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(ended.pid), &info, WEXITED) < 0 && errno == EINTR) {
  }
  worker_notice notice{.what = worker_notice::event::exited,
                       .worker = ended.worker,
                       .generation = ended.generation,
                       .pid = ended.pid};
  if (info.si_code == CLD_EXITED) {
    notice.exit_code = info.si_status;
  } else {
    notice.signal = info.si_status;
  }
  notify(control, notice);
}

[[noreturn]] void end_template(const std::vector<child>& children) {
  for (const child& c : children)
    ::kill(c.pid, SIGKILL);
  for (const child& c : children) {
    while (::waitpid(c.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  ::_exit(0);
}

template_greeting exchange_greetings(int control) {
  template_greeting greeting{.magic = 0};
  const auto received =
      receive_with_descriptors(control, std::as_writable_bytes(std::span(&greeting, 1)), true);
  if (received.size != sizeof greeting || greeting.magic != template_greeting::expected_magic)
    ::_exit(1);
  const template_greeting answer{.build = build_mark(), .parent = 0};
  if (!send_with_descriptors(control, std::as_bytes(std::span(&answer, 1)), {}, true))
    ::_exit(0);
  return greeting;
}

void serve(unique_fd control) {
  const template_greeting greeting = exchange_greetings(control.get());
  unique_fd parent(pidfd_open(greeting.parent));
  // Not its child any more: the program ended before we could watch it.
  if (!parent || ::getppid() != greeting.parent)
    ::_exit(0);
  std::vector<child> children;
  std::vector<pollfd> watched;
  for (;;) {
    watched.assign({{.fd = control.get(), .events = POLLIN, .revents = 0},
                    {.fd = parent.get(), .events = POLLIN, .revents = 0}});
    for (const child& c : children)
      watched.push_back({.fd = c.pidfd.get(), .events = POLLIN, .revents = 0});
    if (::poll(watched.data(), watched.size(), -1) < 0) {
      if (errno == EINTR)
        continue;
      end_template(children);
    }
    if (watched[1].revents != 0)
      end_template(children);
    for (std::size_t i = children.size(); i-- > 0;) {
      if (watched[i + 2].revents == 0)
        continue;
      report_exit(control.get(), children[i]);
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (watched[0].revents == 0)
      continue;
    start_request request;
    auto message =
        receive_with_descriptors(control.get(), std::as_writable_bytes(std::span(&request, 1)), false);
    if (message.what == received_message::state::closed)
      end_template(children);
    if (message.what == received_message::state::message)
      start_worker(request, std::move(message), children, control, parent);
  }
}

} // namespace

void link_template_initialiser() noexcept {}

bool this_process_is_template() noexcept {
  return becoming_template || std::getenv(template_mark_variable) != nullptr;
}

void serve_as_template(unique_fd control) {
  ::prctl(PR_SET_NAME, "template");
  std::fflush(nullptr); // or every worker would write what the static initialisers have written
  // Ctrl-C at a terminal goes to every process of the program; it is the program's to handle, and when it
  // ends, so do we. A handler rather than SIG_IGN, which programs that a task starts would inherit.
  struct sigaction nothing{};
  nothing.sa_handler = [](int) {};
  nothing.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &nothing, nullptr);
  try {
    serve(std::move(control));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "fourfold: the worker template ends: %s\n", e.what());
  }
  ::_exit(1);
}

namespace {

/// Among the static initialisers of the program: in a process that was started as template, runs those that
/// would come after it, so that its place does not matter, and serves instead of returning towards main().
__attribute__((constructor)) void become_template_if_marked(int argc, char** argv, char** environment) {
  const char* mark = std::getenv(template_mark_variable);
  if (mark == nullptr)
    return;
  becoming_template = true;
  ::unsetenv(template_mark_variable); // programs that a task starts must not see it
  auto* const self = &become_template_if_marked;
  initialiser* mine = std::find(__init_array_start, __init_array_end, self);
  if (mine != __init_array_end) {
    for (initialiser* later = mine + 1; later != __init_array_end; ++later)
      (*later)(argc, argv, environment);
  }
  serve_as_template(unique_fd(template_mark_descriptor));
}

} // namespace
} // namespace fourfold::detail
