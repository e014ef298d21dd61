#include <fourfold/watch/deadlock_detection.hpp>
#include <fourfold/watch/detail/wait_graph.hpp>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

namespace fourfold {
namespace {

std::optional<on_deadlock> action_of_environment() noexcept {
  const char* const text = std::getenv("FOURFOLD_DEADLOCKS");
  if (text == nullptr || *text == '\0')
    return std::nullopt;
  const std::string_view action(text);
  if (action == "throw")
    return on_deadlock::throw_error;
  if (action == "abort")
    return on_deadlock::abort;
  if (action != "report")
    std::fprintf(stderr, "fourfold: FOURFOLD_DEADLOCKS is neither report nor throw nor abort: it reports\n");
  return on_deadlock::report;
}

/// For the whole life of the program: other threads may still wait for something when statics are destroyed, so it is
/// never destroyed.
deadlock_detection* detection_of_environment() {
  const auto action = action_of_environment();
  return action ? new deadlock_detection({.action = *action}) : nullptr;
}

} // namespace

deadlock_detection::deadlock_detection(deadlock_options options)
    : graph_(std::make_unique<detail::wait_graph>(std::move(options))),
      before_(set_wait_observer(graph_.get())) {}

deadlock_detection::~deadlock_detection() { set_wait_observer(before_); }

deadlock_detection::counts deadlock_detection::found() const { return graph_->found(); }

} // namespace fourfold

// Its name is asked for when a program is linked (cmake/, fourfold.pc), so that the environment works in a program that
// uses nothing of this file.
extern "C" {
fourfold::deadlock_detection* fourfold_deadlock_detection_of_environment =
    fourfold::detection_of_environment();
}
