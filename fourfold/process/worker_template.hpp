#pragma once

#include <memory>

namespace fourfold {
namespace detail {
class template_use;
}

/// Keeps the program's worker template while it exists. All pools and processes share one template; it is started
/// for the first of them and ends with the last. A program that has none now and then, and wants the next to start
/// without the milliseconds that a template takes, keeps it:
///
///   int main() { fourfold::worker_template keep; ...
///
/// The template has the environment, working directory, limits and control groups that the program had when it was
/// started, and hands them to workers.
///
/// (1) Nothing here waits. (2), (3) Any thread. (4) Destruction ends the template, if nothing else uses it.
class worker_template {
 public:
  /// Starts it, unless it is there. Throws std::system_error, or `error` when the program cannot serve as template.
  worker_template();
  ~worker_template();
  worker_template(const worker_template&) = delete;
  worker_template& operator=(const worker_template&) = delete;

 private:
  std::unique_ptr<detail::template_use> use_;
};

} // namespace fourfold
