#pragma once

#include <fourfold/base/unique_fd.hpp>
#include <fourfold/process/detail/worker_channel.hpp>

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace fourfold::detail {

// What the pool and its template say to one another, over a socket that keeps message boundaries. One build
// on both sides.

struct template_greeting {
  static constexpr std::uint64_t expected_magic = 0x66'6f'75'72'66'6f'6c'64; // "fourfold"
  std::uint64_t magic = expected_magic;
  /// Where a function of this library lies within its module: differs between builds.
  std::uint64_t build = 0;
  pid_t parent = 0; ///< pool to template
};

/// Pool to template, with the channel's descriptors: start a worker.
struct start_request {
  std::uint32_t worker = 0;
  std::uint32_t generation = 0;
  std::uint32_t coroutines = 0;
  std::uint32_t spin_microseconds = 0;
  std::array<char, 16> name{};
};

/// Template to pool.
struct worker_notice {
  enum class event : std::uint32_t { started, failed, exited };
  event what = event::started;
  std::uint32_t worker = 0;
  std::uint32_t generation = 0;
  pid_t pid = 0;
  int signal = 0;    ///< exited: the signal that killed it, or 0
  int exit_code = 0; ///< exited: its status; failed: errno
};

[[nodiscard]] std::uint64_t build_mark();

/// The template process, as its pool holds it: the program executed anew, waiting to be forked. It lives
/// until this is destroyed, and ends, with all its workers, when the program does.
class template_process {
 public:
  /// Starts it and waits for its greeting, 10 s at most. Throws std::system_error or `error`.
  template_process();
  ~template_process();
  template_process(const template_process&) = delete;
  template_process& operator=(const template_process&) = delete;

  /// Asks for a worker; the answer comes as a notice. False if the template has died.
  [[nodiscard]] bool start_worker(const start_request& request, const channel_descriptors& channel);
  /// The socket that turns readable when a notice is there, or the template has died.
  [[nodiscard]] int control() const noexcept { return control_.get(); }
  struct notice_or_end {
    std::optional<worker_notice> notice;
    unique_fd pidfd;    ///< of a worker that started
    bool ended = false; ///< the template has died
  };
  [[nodiscard]] notice_or_end next_notice();

 private:
  unique_fd control_;
  pid_t pid_ = -1;
};

/// Does nothing; calling it links the initialiser that turns a marked process into a template into the
/// program. Without it, the linker would leave that file out of a static library, and the template would run
/// main().
void link_template_initialiser() noexcept;

/// Whether this process was started as a template: then no pool can be made in it, only in its workers.
[[nodiscard]] bool this_process_is_template() noexcept;

/// Serves as template, if this process was started as one; called before main(). `serve_worker` is in
/// worker_main.cpp.
[[noreturn]] void serve_as_template(unique_fd control);
/// What a forked worker does: serves its channel until told to finish, and exits.
[[noreturn]] void serve_as_worker(const start_request& request, channel_descriptors channel);

} // namespace fourfold::detail
