#include <fourfold/base/errors.hpp>
#include <fourfold/base/lost_error.hpp>
#include <fourfold/loop/detail/child_scope.hpp>
#include <fourfold/loop/exception_group.hpp>

#include <new>

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

constexpr std::string_view no_memory_for_both =
    "a task failed beside another one, and there was no memory to keep both failures";

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
  if (!first_failure_) {
    first_failure_ = failure;
  } else {
    try {
      further_failures_.push_back(failure);
    } catch (const std::bad_alloc&) {
      tell_lost_error(failure, no_memory_for_both);
    }
  }
  scope_.cancel();
}

bool child_scope::is_interruption(const std::exception_ptr& failure) const noexcept {
  return scope_.cancelled() && is_cancelled(failure);
}

void child_scope::leave_and_rethrow() {
  leave();
  if (first_failure_)
    rethrow_all();
  if (interrupted_ && opener_.cancellation_due())
    throw cancelled();
}

void child_scope::rethrow_all() {
  if (further_failures_.empty())
    std::rethrow_exception(first_failure_);
  try {
    std::vector<std::exception_ptr> all;
    all.reserve(1 + further_failures_.size());
    all.push_back(first_failure_);
    all.insert(all.end(), further_failures_.begin(), further_failures_.end());
    throw exception_group(std::move(all));
  } catch (const std::bad_alloc&) {
    for (const std::exception_ptr& failure : further_failures_)
      tell_lost_error(failure, no_memory_for_both);
  }
  std::rethrow_exception(first_failure_);
}

} // namespace detail
} // namespace fourfold
