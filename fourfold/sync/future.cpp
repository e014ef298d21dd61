#include <fourfold/base/errors.hpp>
#include <fourfold/sync/future.hpp>

namespace fourfold::detail {
namespace {

/// Calls a function when the state is ready; destroys itself.
class callback_waiter final : public waiter {
 public:
  explicit callback_waiter(std::move_only_function<void()> f) noexcept : f_(std::move(f)) {}
  void wake() noexcept override {
    f_();
    delete this;
  }

 private:
  std::move_only_function<void()> f_;
};

} // namespace

bool future_state_base::park(waiter& w) {
  waiter* expected = nullptr;
  // Release: the waiter's fields for complete(); acquire: the result, if it is there.
  if (slot_.compare_exchange_strong(expected, &w, std::memory_order_acq_rel))
    return true;
  if (expected == complete_mark())
    return false;
  throw error("future: somebody already waits for this result");
}

void future_state_base::call_when_ready(std::move_only_function<void()> f) {
  if (ready())
    return f();
  // Once it is parked, the callback may run on another thread, take the result and drop the future.
  add_reference();
  const state_pointer<future_state_base> kept(this);
  auto* callback = new callback_waiter(std::move(f)); // it deletes itself when it is woken
  bool waits = false;
  try {
    waits = park(*callback);
  } catch (...) {
    delete callback;
    throw;
  }
  if (waits) {
    parked();
  } else {
    callback->wake();
  }
}

} // namespace fourfold::detail
