#pragma once

#include <fourfold/base/unique_fd.hpp>
#include <fourfold/process/detail/worker_channel.hpp>

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace fourfold::detail {

// What the users of a template (pools and processes) and the template say to one another, over sockets that keep
// message boundaries. One build on both sides. The program has one socket to the template, for the greeting and for
// new users; each user has its own.

/// Program to template, once; the template answers with its loaded modules, which must be the program's builds.
struct template_greeting {
  static constexpr std::uint64_t expected_magic = 0x66'6f'75'72'66'6f'6c'64; // "fourfold"
  std::uint64_t magic = expected_magic;
  pid_t parent = 0;
};

/// The template's answer names so many modules at most.
inline constexpr std::size_t most_modules = 1'000;

/// User to template: start a process. With descriptors: the channel's, if it is a pool's worker; then that of its
/// setup, if it has one.
struct start_request {
  enum class role : std::uint32_t { pool_worker, process };
  role what = role::pool_worker;
  bool fresh = false; ///< execute the program anew instead of forking the template
  bool has_setup = false;
  bool other_build = false; ///< found at its start: what was executed anew is not what the template is
  std::uint32_t worker = 0;
  std::uint32_t generation = 0;
  std::uint32_t coroutines = 0;
  std::uint32_t spin_microseconds = 0;
  std::uint32_t cpu_seconds = 0; ///< CPU time for each call, 0: no limit; filled in where the worker starts
  std::array<char, 16> name{};
};

/// Template to user.
struct worker_notice {
  enum class event : std::uint32_t { started, failed, exited };
  event what = event::started;
  std::uint32_t worker = 0;
  std::uint32_t generation = 0;
  pid_t pid = 0;
  int signal = 0;    ///< exited: the signal that killed it, or 0
  int exit_code = 0; ///< exited: its status; failed: errno
  bool core_dumped = false;
};

/// The name of a process as ps shows it, which is cut to 15 characters.
[[nodiscard]] std::array<char, 16> short_name(const std::string& name, const std::string& number = {});

class shared_template;

/// Counts as a user of the program's template while it exists. The template is started for the first user, serves
/// all that come, and ends with the last. One that has died is replaced when the next user comes.
class template_use {
 public:
  /// Throws std::system_error or `error` when no template can be started, or the program is one itself.
  template_use();
  ~template_use();
  template_use(const template_use&) = delete;
  template_use& operator=(const template_use&) = delete;

  [[nodiscard]] shared_template& get() const noexcept { return *template_; }

 private:
  std::shared_ptr<shared_template> template_;
};

/// The template process, as one of its users holds it. The processes that it starts for this user end with this, at
/// the latest, and with the program.
class template_process {
 public:
  /// Throws std::system_error or `error`.
  template_process();
  /// Returns when all processes of this user have been reaped.
  ~template_process();
  template_process(const template_process&) = delete;
  template_process& operator=(const template_process&) = delete;

  /// Asks for a worker; the answer comes as a notice. `setup` may be -1. False if the template has died.
  [[nodiscard]] bool start_worker(start_request request, const channel_descriptors& channel, int setup);
  /// Asks for a process that is no pool's worker.
  [[nodiscard]] bool start_process(start_request request, int setup);
  /// The socket that turns readable when a notice is there, or the template has died.
  [[nodiscard]] int control() const noexcept { return control_.get(); }
  struct notice_or_end {
    std::optional<worker_notice> notice;
    unique_fd pidfd;    ///< of a worker that started
    bool ended = false; ///< the template has died
  };
  [[nodiscard]] notice_or_end next_notice();

 private:
  [[nodiscard]] bool send(const start_request& request, std::span<const int> descriptors);
  [[nodiscard]] notice_or_end read_notice();

  template_use use_;
  unique_fd control_;
};

/// Does nothing; calling it links the initialiser that turns a marked process into a template into the
/// program. Without it, the linker would leave that file out of a static library, and the template would run
/// main().
void link_template_initialiser() noexcept;

/// Whether this process was started as a template: then no pool can be made in it, only in its workers.
[[nodiscard]] bool this_process_is_template() noexcept;

/// Ctrl-C at a terminal goes to every process of the program; it is the program's to handle, and when it ends, so
/// do these. A handler rather than SIG_IGN, which programs that a task starts would inherit.
void ignore_interrupts() noexcept;

/// Serves as template; called before main().
[[noreturn]] void serve_as_template(unique_fd control);
/// What a process that a template has started does, forked or executed anew: prepares itself as its setup says,
/// does what it is for, and exits.
[[noreturn]] void begin_started_process(start_request request, received_message& message);
/// What a pool's worker does then: serves its channel until told to finish, and exits.
[[noreturn]] void serve_as_worker(const start_request& request, channel_descriptors channel);

} // namespace fourfold::detail
