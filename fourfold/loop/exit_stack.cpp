#include <fourfold/base/lost_error.hpp>
#include <fourfold/loop/exit_stack.hpp>

#include <new>

namespace fourfold {

task<> exit_stack::run_all() {
  while (!clean_ups_.empty()) {
    auto clean_up = std::move(clean_ups_.back());
    clean_ups_.pop_back();
    try {
      if (std::optional<task<>> unfinished = clean_up())
        co_await std::move(*unfinished);
    } catch (...) {
      const std::exception_ptr failure = std::current_exception();
      try {
        failures_.push_back(failure);
      } catch (const std::bad_alloc&) { // the others still have to run
        tell_lost_error(failure, "a clean-up failed, and there was no memory to keep its failure");
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
