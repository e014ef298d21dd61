#include <fourfold/base/errors.hpp>
#include <fourfold/process/detail/loaded_modules.hpp>
#include <fourfold/process/detail/system_call.hpp>
#include <fourfold/process/detail/template_mark.hpp>
#include <fourfold/process/detail/template_process.hpp>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

// The executable's list of static initialisers, from the linker, which has none in a shared library.
// NOLINTBEGIN(readability-identifier-naming): the names are the linker's
extern "C" {
using initialiser = void (*)(int, char**, char**);
extern __attribute__((weak, visibility("hidden"))) initialiser __init_array_start[];
extern __attribute__((weak, visibility("hidden"))) initialiser __init_array_end[];
}
// NOLINTEND(readability-identifier-naming)

namespace fourfold::detail {
namespace {

constinit bool becoming_template = false;
constinit bool executed_as_worker = false;

/// A process, as the template that has started it sees it.
struct child {
  std::uint64_t user;
  std::uint32_t worker;
  std::uint32_t generation;
  pid_t pid;
  unique_fd pidfd;
};

/// Who has processes started here: a pool, or a process.
struct user {
  std::uint64_t number;
  unique_fd socket;
  bool ending = false; ///< its side is closed; ours is, once all that it had started are reaped
};

int pidfd_open(pid_t pid) noexcept { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

void notify(int socket, const worker_notice& notice, std::span<const int> pidfd = {}) {
  // Users read their notices at all times; if one has gone, the loop sees it.
  static_cast<void>(send_with_descriptors(socket, std::as_bytes(std::span(&notice, 1)), pidfd, true));
}

/// In a forked child: executes the program anew, which finds its request and descriptors in the socket that is its
/// descriptor 3. Returns only if that fails.
void execute_anew(const start_request& request, const received_message& message) {
  const std::uint64_t modules = mark_of(loaded_modules());
  std::array<std::byte, sizeof request + sizeof modules> bytes{};
  std::memcpy(bytes.data(), &request, sizeof request);
  std::memcpy(bytes.data() + sizeof request, &modules, sizeof modules);
  std::vector<int> descriptors;
  for (const unique_fd& one : message.descriptors) {
    if (one)
      descriptors.push_back(one.get());
  }
  auto [ours, theirs] = make_socket_pair();
  if (!send_with_descriptors(ours.get(), bytes, descriptors, true))
    return;
  // The number may be taken, also by one of these two.
  const unique_fd here(
      checked(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, template_mark_descriptor + 1), "fcntl"));
  checked(::dup2(here.get(), template_mark_descriptor), "dup2");
  checked(::syscall(SYS_close_range, template_mark_descriptor + 1, ~0U, 0), "close_range");
  ::setenv(template_mark_variable, fresh_worker_mark, 1);
  std::string name = "fourfold-worker";
  std::array<char*, 2> argv{name.data(), nullptr};
  ::execve("/proc/self/exe", argv.data(), environ);
}

/// What the template's memory holds, other than its environment.
struct template_state {
  unique_fd control;
  unique_fd parent; // pidfd of the program
  std::vector<user> users;
  std::vector<child> children;
  std::uint64_t next_user = 1;

  [[nodiscard]] user* find_user(std::uint64_t number) noexcept {
    const auto found = std::ranges::find(users, number, &user::number);
    return found == users.end() ? nullptr : &*found;
  }
};

/// In the forked child: keeps the descriptors that came for it and nothing else of the template's, and dies with it.
[[noreturn]] void become_started_process(template_state& state, const start_request& request,
                                         received_message& message, pid_t template_pid) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != template_pid)
    ::_exit(0); // the template died before the line above
  state = {};
  becoming_template = false; // what runs here may make pools of its own
  if (request.fresh) {
    try {
      execute_anew(request, message);
      std::fprintf(stderr, "fourfold: executing the program anew: %s\n", std::strerror(errno));
    } catch (const std::exception& e) {
      std::fprintf(stderr, "fourfold: executing the program anew: %s\n", e.what());
    }
    ::_exit(1);
  }
  begin_started_process(request, message);
}

void start_process(template_state& state, const user& from, const start_request& request,
                   received_message message) {
  worker_notice notice{.worker = request.worker, .generation = request.generation};
  const pid_t template_pid = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0)
    become_started_process(state, request, message, template_pid);
  unique_fd pidfd(pid > 0 ? pidfd_open(pid) : -1);
  if (!pidfd) {
    notice.what = worker_notice::event::failed;
    notice.exit_code = errno;
    if (pid > 0) { // forked, but it could not be watched
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    return notify(from.socket.get(), notice);
  }
  notice.pid = pid;
  const std::array<int, 1> descriptor{pidfd.get()};
  notify(from.socket.get(), notice, descriptor);
  state.children.push_back({.user = from.number,
                            .worker = request.worker,
                            .generation = request.generation,
                            .pid = pid,
                            .pidfd = std::move(pidfd)});
}

/// Reaps a child that has ended and tells its user.
void bury(template_state& state, const child& ended) {
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(ended.pid), &info, WEXITED) < 0 && errno == EINTR) {
  }
  const user* const of = state.find_user(ended.user);
  if (of == nullptr || of->ending)
    return;
  worker_notice notice{.what = worker_notice::event::exited,
                       .worker = ended.worker,
                       .generation = ended.generation,
                       .pid = ended.pid};
  if (info.si_code == CLD_EXITED) {
    notice.exit_code = info.si_status;
  } else {
    notice.signal = info.si_status;
    notice.core_dumped = info.si_code == CLD_DUMPED;
  }
  notify(of->socket.get(), notice);
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

void serve_user(template_state& state, user& from) {
  start_request request;
  auto message =
      receive_with_descriptors(from.socket.get(), std::as_writable_bytes(std::span(&request, 1)), false);
  if (message.what == received_message::state::message)
    return start_process(state, from, request, std::move(message));
  if (message.what != received_message::state::closed)
    return;
  from.ending = true;
  for (const child& c : state.children) {
    if (c.user == from.number)
      ::kill(c.pid, SIGKILL);
  }
}

void close_ended_users(template_state& state) {
  std::erase_if(state.users, [&](const user& one) {
    return one.ending && std::ranges::find(state.children, one.number, &child::user) == state.children.end();
  });
}

pid_t exchange_greetings(int control) {
  template_greeting greeting{.magic = 0};
  const auto received =
      receive_with_descriptors(control, std::as_writable_bytes(std::span(&greeting, 1)), true);
  if (received.size != sizeof greeting || greeting.magic != template_greeting::expected_magic)
    ::_exit(1);
  std::vector<module_identity> modules = loaded_modules();
  modules.resize(std::min(modules.size(), most_modules));
  if (!send_with_descriptors(control, std::as_bytes(std::span(modules)), {}, true))
    ::_exit(0);
  return greeting.parent;
}

void accept_user(template_state& state) {
  std::array<std::byte, 1> nothing{};
  auto message = receive_with_descriptors(state.control.get(), nothing, false);
  if (message.what == received_message::state::closed)
    end_template(state.children);
  if (message.descriptors[0])
    state.users.push_back({.number = state.next_user++, .socket = std::move(message.descriptors[0])});
}

void serve(unique_fd control) {
  template_state state;
  const pid_t program = exchange_greetings(control.get());
  state.control = std::move(control);
  state.parent = unique_fd(pidfd_open(program));
  // Not its child any more: the program ended before we could watch it.
  if (!state.parent || ::getppid() != program)
    ::_exit(0);
  std::vector<pollfd> watched;
  for (;;) {
    watched.assign({{.fd = state.control.get(), .events = POLLIN, .revents = 0},
                    {.fd = state.parent.get(), .events = POLLIN, .revents = 0}});
    for (const child& c : state.children)
      watched.push_back({.fd = c.pidfd.get(), .events = POLLIN, .revents = 0});
    for (const user& u : state.users)
      watched.push_back({.fd = u.ending ? -1 : u.socket.get(), .events = POLLIN, .revents = 0});
    const std::size_t first_user = watched.size() - state.users.size();
    if (::poll(watched.data(), watched.size(), -1) < 0) {
      if (errno == EINTR)
        continue;
      end_template(state.children);
    }
    if (watched[1].revents != 0)
      end_template(state.children);
    for (std::size_t i = state.children.size(); i-- > 0;) {
      if (watched[i + 2].revents == 0)
        continue;
      bury(state, state.children[i]);
      state.children.erase(state.children.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (std::size_t i = 0; first_user + i < watched.size(); ++i) {
      if (watched[first_user + i].revents != 0)
        serve_user(state, state.users[i]);
    }
    close_ended_users(state);
    if (watched[0].revents != 0)
      accept_user(state);
  }
}

} // namespace

void link_template_initialiser() noexcept {}

bool this_process_is_template() noexcept {
  return becoming_template || std::getenv(template_mark_variable) != nullptr;
}

void ignore_interrupts() noexcept {
  struct sigaction nothing{};
  nothing.sa_handler = [](int) {};
  nothing.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &nothing, nullptr);
}

void serve_as_template(unique_fd control) {
  ::prctl(PR_SET_NAME, "template");
  std::fflush(nullptr); // or every worker would write what the static initialisers have written
  ignore_interrupts();
  try {
    serve(std::move(control));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "fourfold: the worker template ends: %s\n", e.what());
  }
  ::_exit(1);
}

namespace {

/// In a process that was executed anew by the template: takes what that has left in its socket.
[[noreturn]] void begin_fresh_process(unique_fd socket) {
  start_request request;
  std::uint64_t modules = 0;
  std::array<std::byte, sizeof request + sizeof modules> bytes{};
  try {
    received_message message = receive_with_descriptors(socket.get(), bytes, true);
    socket.reset();
    if (message.size != bytes.size())
      throw error("its request is incomplete");
    std::memcpy(&request, bytes.data(), sizeof request);
    std::memcpy(&modules, bytes.data() + sizeof request, sizeof modules);
    if (modules != mark_of(loaded_modules()))
      request.other_build = true;
    ignore_interrupts();
    becoming_template = false;
    begin_started_process(request, message);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "fourfold: a worker that was executed anew ends: %s\n", e.what());
  }
  ::_exit(1);
}

[[noreturn]] void serve_instead_of_main() {
  if (executed_as_worker)
    begin_fresh_process(unique_fd(template_mark_descriptor));
  serve_as_template(unique_fd(template_mark_descriptor));
}

/// The executable's list of static initialisers, which the runtime goes through last, and only then enters main().
std::span<initialiser> initialisers_of_executable() noexcept {
  std::span<initialiser> found;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* result) { // the executable comes first
        const ElfW(Dyn)* entry = nullptr;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            entry = reinterpret_cast<const ElfW(Dyn)*>(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        }
        initialiser* list = nullptr;
        std::size_t bytes = 0;
        for (; entry != nullptr && entry->d_tag != DT_NULL; ++entry) {
          if (entry->d_tag == DT_INIT_ARRAY)
            list = reinterpret_cast<initialiser*>(info->dlpi_addr + entry->d_un.d_ptr);
          if (entry->d_tag == DT_INIT_ARRAYSZ)
            bytes = entry->d_un.d_val;
        }
        *static_cast<std::span<initialiser>*>(result) = {list, list != nullptr ? bytes / sizeof list : 0};
        return 1;
      },
      &found);
  return found;
}

constinit initialiser replaced_initialiser = nullptr;

void run_replaced_and_serve(int argc, char** argv, char** environment) {
  replaced_initialiser(argc, argv, environment);
  serve_instead_of_main();
}

/// From a shared library, whose initialisers run before the executable's: puts itself behind the last of those.
void serve_after_initialisers_of_executable() {
  const std::span<initialiser> list = initialisers_of_executable();
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto last = reinterpret_cast<std::uintptr_t>(list.empty() ? nullptr : &list.back());
  const std::uintptr_t begin = last / page * page;
  // The loader has made these pages read-only; this copy of them is the template's alone.
  if (list.empty() || ::mprotect(reinterpret_cast<void*>(begin), last + sizeof(initialiser) - begin,
                                 PROT_READ | PROT_WRITE) != 0) {
    std::fputs("fourfold: cannot serve as worker template: no way to run after the program's initialisers\n",
               stderr);
    ::_exit(1);
  }
  replaced_initialiser = list.back();
  list.back() = &run_replaced_and_serve;
}

bool is_in_executable(const void* address) {
  const auto place = find_in_modules(reinterpret_cast<std::uint64_t>(address));
  return place && place->module == 0;
}

/// Among the static initialisers of the library: in a process that was started to serve as template or worker, sees
/// to it that all static initialisers of the program run, so that its place among them does not matter, and that
/// they are followed by serving instead of by main().
__attribute__((constructor)) void become_template_if_marked(int argc, char** argv, char** environment) {
  const char* mark = std::getenv(template_mark_variable);
  if (mark == nullptr)
    return;
  becoming_template = true;
  executed_as_worker = std::string_view(mark) == fresh_worker_mark;
  ::unsetenv(template_mark_variable); // programs that are started from here must not see it
  auto* const self = &become_template_if_marked;
  if (!is_in_executable(reinterpret_cast<const void*>(self)))
    return serve_after_initialisers_of_executable();
  initialiser* mine = std::find(__init_array_start, __init_array_end, self);
  if (mine != __init_array_end) {
    for (initialiser* later = mine + 1; later != __init_array_end; ++later)
      (*later)(argc, argv, environment);
  }
  serve_instead_of_main();
}

} // namespace
} // namespace fourfold::detail
