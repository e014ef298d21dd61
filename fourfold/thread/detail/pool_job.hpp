#pragma once

#include <fourfold/base/cancellation.hpp>
#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/base/priority.hpp>
#include <fourfold/sync/future_state.hpp>
#include <fourfold/thread/detail/pool_task.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fourfold::detail {

class pool_core;
class pool_job;

/// Puts the job in the queue, which takes a reference of its own; throws `pool_closed` or std::bad_alloc,
/// having done nothing.
void submit_job(pool_core& core, pool_job& job, priority urgency);

/// A call in a pool's queue. Its entry in the queue and the future hold a reference each.
///
/// Who moves `phase_` away from `queued` has the call: a thread of the pool that found the entry, one that
/// waits for the result, or who cancels. The others leave it alone; a stale entry is dropped when the pool
/// meets it.
class pool_job : public pool_task {
 public:
  pool_job(const pool_job&) = delete;
  pool_job& operator=(const pool_job&) = delete;

  /// Of an entry of the queue: runs the call, unless somebody else has it.
  void run_on(pool_worker& worker) noexcept final;
  /// True for the one who is to run it.
  [[nodiscard]] bool claim() noexcept { return leave_queue(phase::running); }
  /// Runs the claimed call: result, destruction of function and arguments, one added to `finished`,
  /// completion.
  virtual void run(std::atomic<std::uint64_t>& finished) noexcept = 0;
  /// Completes the call with `cancelled` if it has not begun.
  virtual bool cancel_if_queued() noexcept = 0;
  /// Of the queue's entry.
  virtual void take_reference() noexcept = 0;
  virtual void drop_reference() noexcept = 0;

  [[nodiscard]] bool was_cancelled() const noexcept {
    return phase_.load(std::memory_order_relaxed) == phase::cancelled;
  }
  [[nodiscard]] cancellation_token token() noexcept { return cancellation_.token(); }
  /// What was bound where it was submitted; leaves nothing.
  [[nodiscard]] context_bindings take_bindings() noexcept { return std::move(bindings_); }

  /// The link of the queue that it stands in.
  pool_job* next = nullptr;

 protected:
  enum class phase : std::uint8_t { queued, running, cancelled };

  explicit pool_job(pool_core& core) noexcept : core_(&core), bindings_(current_context()) {}
  ~pool_job() = default;

  bool leave_queue(phase to) noexcept {
    phase expected = phase::queued;
    // Relaxed: function and arguments were published with the entry or the future, whichever this thread came
    // by.
    return phase_.compare_exchange_strong(expected, to, std::memory_order_relaxed);
  }
  bool request_cancellation_if_running(bool ready) noexcept {
    if (ready || was_cancelled())
      return false;
    cancellation_.request_cancellation();
    return true;
  }
  /// On a thread of the job's own pool: claims and runs the call, if that is allowed now. Elsewhere: waits a
  /// few microseconds for a result that is nearly there.
  void assist_waiting(const wait_limit& limit, const future_state_base& state) noexcept;

 private:
  // Compared only: the pool may be gone once the call is done.
  pool_core* core_;
  context_bindings bindings_;
  std::atomic<phase> phase_{phase::queued};
  cancellation_source cancellation_;
};

/// What a call of a copy of `F` with copies of `A...` gives: its type, an lvalue reference, or void.
template <class F, class... A>
struct call_result {
  static_assert(
      std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>,
      "submit: the function cannot be called with these arguments. They are copied and then moved into the "
      "call; to pass a reference, write std::ref(x)");
  using raw = std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>;
  using type = std::conditional_t<std::is_lvalue_reference_v<raw>, raw, std::remove_cvref_t<raw>>;
};
template <class F, class... A>
using job_result_t = typename call_result<F, A...>::type;

/// A call, its future's state and its result in one allocation.
template <class R, class F, class... A>
class call_job final : public future_state<R>, public pool_job {
 public:
  template <class G, class... B>
  explicit call_job(pool_core& core, G&& f, B&&... arguments)
      : pool_job(core), call_(std::in_place, std::forward<G>(f), std::forward<B>(arguments)...) {}

  void run(std::atomic<std::uint64_t>& finished) noexcept override {
    tell_wait_observer(&wait_observer::works_at, this->resource(), this_thread_party());
    try {
      const auto invoke = [](F& f, A&... arguments) -> decltype(auto) {
        return std::invoke(std::move(f), std::move(arguments)...);
      };
      if constexpr (std::is_void_v<R>) {
        std::apply(invoke, *call_);
        this->value_.emplace();
      } else if constexpr (std::is_reference_v<R>) {
        this->value_.emplace(&std::apply(invoke, *call_));
      } else {
        this->value_.emplace(std::apply(invoke, *call_));
      }
    } catch (...) {
      this->exception_ = std::current_exception();
    }
    call_.reset();
    // One writer at a time (the thread that runs the job), so no read-modify-write is needed.
    finished.store(finished.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    this->complete();
  }

  bool cancel_if_queued() noexcept override {
    if (!leave_queue(phase::cancelled))
      return false;
    call_.reset();
    this->set_exception(exception_of<cancelled>());
    return true;
  }

  bool cancel_work() noexcept override {
    return cancel_if_queued() || request_cancellation_if_running(this->ready());
  }

  void take_reference() noexcept override { this->future_state_base::add_reference(); }
  void drop_reference() noexcept override { this->future_state_base::drop_reference(); }

 private:
  void assist(const wait_limit& limit) override { assist_waiting(limit, *this); }

  // Empty once run or cancelled: a future that is kept does not keep the arguments.
  std::optional<std::tuple<F, A...>> call_;
};

} // namespace fourfold::detail
