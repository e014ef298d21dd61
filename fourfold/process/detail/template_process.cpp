#include <fourfold/base/errors.hpp>
#include <fourfold/process/detail/loaded_modules.hpp>
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

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <vector>

namespace fourfold::detail {
namespace {

// How long a template that was told to end, or a user's workers that it was told to kill, may take.
constexpr int ending_milliseconds = 5'000;

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
  environment.push_back(std::string(template_mark_variable) + "=" + template_mark);
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

/// Whether the descriptor turns readable, or its peer ends, in that time.
bool readable_within(int fd, int milliseconds) noexcept {
  pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
  for (;;) {
    const int ready = ::poll(&watched, 1, milliseconds);
    if (ready >= 0 || errno != EINTR)
      return ready > 0;
  }
}

} // namespace

/// The template process itself, as the program that started it holds it.
class shared_template {
 public:
  /// Starts it and waits for its greeting, 10 s at most. Throws std::system_error or `error`.
  shared_template();
  ~shared_template();
  shared_template(const shared_template&) = delete;
  shared_template& operator=(const shared_template&) = delete;

  [[nodiscard]] bool is_alive() const noexcept {
    return !ended_.load() && !readable_within(process_.get(), 0);
  }
  /// A user's socket has ended: that shows before the process does.
  void socket_ended() noexcept { ended_.store(true); }
  /// A new user's socket to it. Where it has just died, that is closed at once.
  [[nodiscard]] unique_fd connect();
  /// Ends it, and with it all that it has started; its other users notice and turn to a new one.
  void kill() const noexcept { ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0); }
  /// Once it has died, for who replaces it: its users may hold it for long.
  void reap() noexcept {
    if (pid_ > 0 && readable_within(process_.get(), ending_milliseconds) &&
        ::waitpid(pid_, nullptr, 0) == pid_)
      pid_ = -1;
  }
  /// False in a child that the program has forked: what it has a copy of is the program's to end.
  [[nodiscard]] bool is_ours() const noexcept { return ::getpid() == owner_; }

 private:
  void greet();

  pid_t owner_ = ::getpid();
  unique_fd control_;
  pid_t pid_ = -1;
  unique_fd process_; // pidfd
  std::atomic<bool> ended_{false};
};

shared_template::shared_template() {
  link_template_initialiser();
  if (this_process_is_template()) {
    throw error(
        "a process or process_pool was made by a static initialiser: the template that it starts would run "
        "that, "
        "too, and start another; make it in main()");
  }
  auto [ours, theirs] = make_socket_pair();
  control_ = std::move(ours);
  pid_ = start_self(theirs.get());
  theirs.reset();
  try {
    process_ = unique_fd(checked(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)), "pidfd_open"));
    greet();
  } catch (...) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    throw;
  }
}

void shared_template::greet() {
  const template_greeting hello{.parent = ::getpid()};
  if (!send_with_descriptors(control_.get(), std::as_bytes(std::span(&hello, 1)), {}, true))
    throw error("the worker template ended before it could be greeted");
  // A program whose static initialisers take longer is not one that starts workers quickly; saying so beats
  // hanging.
  constexpr int ten_seconds = 10'000;
  if (!readable_within(control_.get(), ten_seconds)) {
    throw error(
        "the worker template did not answer within 10 s: does the program execute itself as expected?");
  }
  std::vector<module_identity> modules(most_modules);
  const auto received =
      receive_with_descriptors(control_.get(), std::as_writable_bytes(std::span(modules)), true);
  if (received.size == 0 || received.size % sizeof(module_identity) != 0) {
    throw error(
        "the worker template ended during its start; a static initialiser of the program may have failed");
  }
  modules.resize(received.size / sizeof(module_identity));
  if (!same_builds(modules)) {
    throw error(
        "the worker template is another build: a shared library was replaced on disk since the program has "
        "started");
  }
}

shared_template::~shared_template() {
  if (!is_ours())
    return;
  // Its socket's end tells it to kill and reap its workers and to end; also where a child of the program, forked
  // meanwhile, still holds the socket. If it does not (stopped by SIGSTOP, say), it is killed, and they with it.
  ::shutdown(control_.get(), SHUT_RDWR);
  control_.reset();
  if (!readable_within(process_.get(), ending_milliseconds))
    kill();
  while (pid_ > 0 && ::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

unique_fd shared_template::connect() {
  auto [ours, theirs] = make_socket_pair();
  const std::byte nothing{};
  const std::array<int, 1> descriptor{theirs.get()};
  static_cast<void>(send_with_descriptors(control_.get(), std::span(&nothing, 1), descriptor, true));
  return std::move(ours);
}

namespace {

/// The program's template and who uses it. A child that the program has forked has its own.
struct template_registry {
  std::mutex lock;
  std::shared_ptr<shared_template> current;
  std::size_t users = 0;
  pid_t owner = 0;
};

template_registry& registry() {
  // Never destroyed: static objects of the program may outlive it otherwise.
  static auto& the = *new template_registry;
  return the;
}

} // namespace

template_use::template_use() {
  template_registry& all = registry();
  const std::lock_guard guard(all.lock);
  if (all.owner != ::getpid()) {
    all.current.reset(); // copied by fork, and the parent's
    all.users = 0;
    all.owner = ::getpid();
  }
  if (!all.current || !all.current->is_alive()) {
    if (all.current)
      all.current->reap();
    all.current.reset();
    all.current = std::make_shared<shared_template>();
  }
  template_ = all.current;
  ++all.users;
}

template_use::~template_use() {
  std::shared_ptr<shared_template> last; // ended outside of the lock
  template_registry& all = registry();
  const std::lock_guard guard(all.lock);
  if (all.owner == ::getpid() && --all.users == 0)
    last = std::move(all.current);
}

template_process::template_process() : control_(use_.get().connect()) {}

template_process::~template_process() {
  if (!use_.get().is_ours())
    return;
  // The template kills and reaps what it has started for this user, and then closes its end.
  ::shutdown(control_.get(), SHUT_WR);
  for (;;) {
    if (!readable_within(control_.get(), ending_milliseconds)) {
      use_.get().kill();
      return;
    }
    try {
      if (read_notice().ended)
        return;
    } catch (const std::exception&) {
      return;
    }
  }
}

bool template_process::start_worker(start_request request, const channel_descriptors& channel, int setup) {
  request.what = start_request::role::pool_worker;
  request.has_setup = setup >= 0;
  const std::array<int, channel_descriptors::count + 1> descriptors{
      channel.memory.get(),       channel.worker_bell.get(), channel.driver_bell.get(),
      channel.service_bell.get(), channel.socket.get(),      setup};
  return send(request, std::span(descriptors).first(channel_descriptors::count + (setup >= 0 ? 1 : 0)));
}

bool template_process::start_process(start_request request, int setup) {
  request.what = start_request::role::process;
  request.has_setup = true;
  return send(request, std::span(&setup, 1));
}

bool template_process::send(const start_request& request, std::span<const int> descriptors) {
  const bool sent =
      send_with_descriptors(control_.get(), std::as_bytes(std::span(&request, 1)), descriptors, true);
  if (!sent)
    use_.get().socket_ended();
  return sent;
}

template_process::notice_or_end template_process::next_notice() {
  notice_or_end next = read_notice();
  if (next.ended)
    use_.get().socket_ended();
  return next;
}

template_process::notice_or_end template_process::read_notice() {
  worker_notice notice;
  auto received =
      receive_with_descriptors(control_.get(), std::as_writable_bytes(std::span(&notice, 1)), false);
  if (received.what == received_message::state::nothing)
    return {};
  if (received.size != sizeof notice)
    return {.notice = {}, .pidfd = {}, .ended = true};
  return {.notice = notice, .pidfd = std::move(received.descriptors[0]), .ended = false};
}

std::array<char, 16> short_name(const std::string& name, const std::string& number) {
  std::array<char, 16> result{};
  const std::string shown = name.substr(0, result.size() - 1 - number.size()) + number;
  std::copy(shown.begin(), shown.end(), result.begin());
  return result;
}

} // namespace fourfold::detail
