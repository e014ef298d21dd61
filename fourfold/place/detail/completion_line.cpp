#include <fourfold/place/detail/completion_line.hpp>

#include <mutex>

namespace fourfold::detail {

void completion_line::watch(entry& one, future_state_base& state) {
  one.line_ = this;
  one.state_ = &state;
  if (!future_state_base::wait_operation{state}.park(one))
    ended(one);
}

void completion_line::ended(entry& one) noexcept {
  {
    const std::lock_guard guard(lock_);
    ended_.push_back(one);
    if (helper_ != nullptr)
      helper_->request_cancellation();
  }
  // Last: whoever takes it may destroy the line.
  count_.release();
}

completion_line::entry& completion_line::ended_one() noexcept {
  const std::lock_guard guard(lock_);
  return static_cast<entry&>(ended_.pop_front());
}

completion_line::entry* completion_line::try_take() noexcept {
  return count_.try_acquire() ? &ended_one() : nullptr;
}

completion_line::entry& completion_line::take(const wait_limit& limit, future_state_base& likely) {
  if (!count_.try_acquire()) {
    help(limit, likely);
    count_.acquire(limit);
  }
  return ended_one();
}

completion_line::entry& completion_line::take_ending() noexcept {
  count_.acquire();
  return ended_one();
}

void completion_line::help(const wait_limit& limit, future_state_base& likely) {
  // In a job of a thread pool: it may run that very call here, which it does only if nothing can cut the wait
  // short.
  if (this_thread_blocking_observer() != nullptr)
    return likely.help(limit);
  cancellation_source enough;
  const auto end_help = [&enough] { enough.request_cancellation(); };
  const cancellation_callback on_cancellation(limit.token, end_help);
  {
    const std::lock_guard guard(lock_);
    if (!ended_.empty())
      return;
    helper_ = &enough;
  }
  const struct leave {
    completion_line& line;
    ~leave() {
      const std::lock_guard guard(line.lock_);
      line.helper_ = nullptr;
    }
  } leave{*this};
  likely.help({limit.deadline, enough.token()});
}

} // namespace fourfold::detail
