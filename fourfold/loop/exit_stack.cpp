#include <fourfold/loop/exit_stack.hpp>

#include <new>

namespace fourfold {

task<> exit_stack::run_all() {
  while (!clean_ups_.empty()) {
    auto clean_up = std::move(clean_ups_.back());
    clean_ups_.pop_back();
    try {
      co_await clean_up();
    } catch (...) {
      try {
        failures_.push_back(std::current_exception());
      } catch (const std::bad_alloc&) { // NOLINT(bugprone-empty-catch): the others still have to run
      }
    }
  }
}

void exit_stack::rethrow(const std::exception_ptr& first) {
  if (first)
    failures_.insert(failures_.begin(), first);
  if (failures_.size() == 1)
    std::rethrow_exception(failures_.front());
  if (!failures_.empty())
    throw exception_group(std::move(failures_));
}

} // namespace fourfold
