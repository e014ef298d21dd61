#include <fourfold/base/errors.hpp>
#include <fourfold/loop/detail/child_scope.hpp>
#include <fourfold/loop/exception_group.hpp>

namespace fourfold {
namespace {

std::string summary(const std::vector<std::exception_ptr>& exceptions) {
  std::string text = std::to_string(exceptions.size()) + " failures:";
  for (const std::exception_ptr& exception : exceptions) {
    try {
      std::rethrow_exception(exception);
    } catch (const std::exception& e) {
      text += std::string("\n  ") + e.what();
    } catch (...) {
      text += "\n  (not a std::exception)";
    }
  }
  return text;
}

} // namespace

exception_group::exception_group(std::vector<std::exception_ptr> exceptions)
    : error(summary(exceptions)), exceptions_(std::move(exceptions)) {}

namespace detail {

void child_scope::child_ended(const std::exception_ptr& failure, on_failure then) noexcept {
  if (failure && (then == on_failure::cancel_the_rest || is_interruption(failure)))
    fail(failure);
  if (--live_ == 0 && joiner_ != nullptr)
    std::exchange(joiner_, nullptr)->wake();
}

void child_scope::fail(const std::exception_ptr& failure) noexcept {
  if (is_interruption(failure)) {
    interrupted_ = true;
    return;
  }
  try {
    failures_.push_back(failure);
  } catch (const std::bad_alloc&) {
    // The first failure is the one that matters most, and there is one unless even the first did not fit.
    if (failures_.empty())
      scope_.cancel();
  }
  scope_.cancel();
}

bool child_scope::is_interruption(const std::exception_ptr& failure) const noexcept {
  return scope_.cancelled() && is_cancelled(failure);
}

void child_scope::leave_and_rethrow() {
  leave();
  if (failures_.size() == 1)
    std::rethrow_exception(failures_.front());
  if (!failures_.empty())
    throw exception_group(std::move(failures_));
  if (interrupted_ && opener_.cancellation_due())
    throw cancelled();
}

} // namespace detail
} // namespace fourfold
