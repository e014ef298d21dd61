#include <fourfold/process/detail/fault_point.hpp>

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace fourfold::detail {
namespace {

/// What FOURFOLD_FAULT says: "step skipped path". Of all processes, the one that removes the file dies; each passes the
/// step so many times before it tries.
struct plan {
  plan() noexcept {
    const char* text = std::getenv("FOURFOLD_FAULT");
    if (text == nullptr || std::sscanf(text, "%d %d %255s", &step, &skipped, path) != 3)
      step = 0;
  }
  int step = 0;
  int skipped = 0;
  char path[256]{};
};

} // namespace

void fault_point(fault_step step) noexcept {
  static plan asked;
  if (static_cast<int>(step) != asked.step || asked.skipped-- > 0)
    return;
  if (::unlink(asked.path) == 0)
    ::kill(::getpid(), SIGKILL);
}

} // namespace fourfold::detail
