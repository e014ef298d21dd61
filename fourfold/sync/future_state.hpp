#pragma once

#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/base/lost_error.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace fourfold {
template <class T>
class future;
}

namespace fourfold::detail {

/// What a future and the work that fills it share. Reference-counted; the work usually *is* the state (a
/// pool's job derives from it), so a call costs one allocation.
class future_state_base : public parking_place {
 public:
  future_state_base(const future_state_base&) = delete;
  future_state_base& operator=(const future_state_base&) = delete;

  void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop_reference() noexcept {
    // Release, then acquire by the last one: it destroys what all others have written.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete this;
  }

  [[nodiscard]] bool ready() const noexcept {
    // Acquire: pairs with the release in complete().
    return slot_.load(std::memory_order_acquire) == complete_mark();
  }

  /// ready(), for somebody who will ask again instead of waiting.
  [[nodiscard]] bool poll() noexcept {
    if (!ready())
      polled();
    return ready();
  }

  void wait(const wait_limit& limit) {
    if (!ready())
      assist(limit);
    wait_blocking(wait_operation{*this}, limit);
  }
  void call_when_ready(std::move_only_function<void()> f);
  /// For work that is made of other work, whose assist() lets its parts be helped: what wait() does before it
  /// parks.
  void help(const wait_limit& limit) {
    if (!ready())
      assist(limit);
  }

  /// As those who wait for it are seen by an observer.
  [[nodiscard]] resource_id resource() const noexcept { return static_cast<const parking_place*>(this); }

  /// Asks the work to stop; see future::cancel().
  virtual bool cancel_work() noexcept { return false; }

  struct wait_operation {
    future_state_base& self;
    bool try_now() const noexcept { return self.ready(); }
    bool park(waiter& w) const {
      if (!self.park(w))
        return false;
      self.parked();
      return true;
    }
    parking_place& place() const noexcept { return self; }
    void result(wake_reason) const noexcept {}
  };

  bool withdraw(waiter& w) noexcept override {
    waiter* expected = &w;
    return slot_.compare_exchange_strong(expected, nullptr, std::memory_order_acq_rel);
  }

 protected:
  future_state_base() noexcept = default;
  virtual ~future_state_base() = default;

  /// The result is in place: publishes it and wakes the waiter. The caller holds a reference.
  void complete() noexcept {
    tell_wait_observer(&wait_observer::has_done, resource(), party_id());
    // Release: the result; acquire: the waiter's own fields. Pairs with park() and ready().
    waiter* w = slot_.exchange(complete_mark(), std::memory_order_acq_rel);
    if (w != nullptr)
      w->wake();
  }

  /// A thread is about to wait: the work may get itself done on this thread (and then the state is ready), or
  /// return.
  virtual void assist(const wait_limit&) {}
  /// Somebody looks whether it is complete, and may do no more than that: it must become so without their help.
  virtual void polled() noexcept {}
  /// Somebody is parked now, so the completion must reach them without their help.
  virtual void parked() noexcept {}

 private:
  bool park(waiter& w);
  static waiter* complete_mark() noexcept { return reinterpret_cast<waiter*>(&complete_marker_); }
  static inline std::uintptr_t complete_marker_ = 0;

  // Null: no result, nobody waits. complete_mark(): the result is there, for ever. Else: who waits.
  std::atomic<waiter*> slot_{nullptr};
  std::atomic<std::uint32_t> references_{1};
};

/// A counted pointer to a state; constructed from a raw pointer it takes over the reference that the pointer
/// holds.
template <class S>
class state_pointer {
 public:
  state_pointer() noexcept = default;
  explicit state_pointer(S* adopted) noexcept : state_(adopted) {}
  state_pointer(const state_pointer& other) noexcept : state_(other.state_) {
    if (state_ != nullptr)
      state_->add_reference();
  }
  state_pointer(state_pointer&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  template <class D>
    requires std::derived_from<D, S>
  state_pointer(state_pointer<D> other) noexcept : state_(other.release()) {}
  state_pointer& operator=(state_pointer other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~state_pointer() {
    if (state_ != nullptr)
      state_->drop_reference();
  }

  explicit operator bool() const noexcept { return state_ != nullptr; }
  S* operator->() const noexcept { return state_; }
  S& operator*() const noexcept { return *state_; }
  [[nodiscard]] S* get() const noexcept { return state_; }
  /// Gives the reference away.
  [[nodiscard]] S* release() noexcept { return std::exchange(state_, nullptr); }

 private:
  S* state_ = nullptr;
};

template <class S, class... A>
state_pointer<S> make_state(A&&... arguments) {
  return state_pointer<S>(new S(std::forward<A>(arguments)...));
}

template <class T>
class future_state : public future_state_base {
 public:
  template <class... U>
  void set_value(U&&... value) {
    if constexpr (std::is_void_v<T>) {
      value_.emplace();
    } else if constexpr (std::is_reference_v<T>) {
      value_.emplace(&value...);
    } else {
      value_.emplace(std::forward<U>(value)...);
    }
    complete();
  }
  void set_exception(std::exception_ptr exception) noexcept {
    exception_ = std::move(exception);
    complete();
  }
  /// Sets what `f()` returns or throws.
  template <class F>
  void set_result_of(F&& f) noexcept {
    try {
      if constexpr (std::is_void_v<T>) {
        f();
        value_.emplace();
      } else if constexpr (std::is_reference_v<T>) {
        value_.emplace(&f());
      } else {
        value_.emplace(f());
      }
    } catch (...) {
      exception_ = std::current_exception();
    }
    complete();
  }

  /// Whether it is an exception, and whether of that type; needs ready().
  [[nodiscard]] bool failed() const noexcept { return exception_ != nullptr; }
  [[nodiscard]] std::exception_ptr exception() noexcept {
    tells_loss_ = false;
    return exception_;
  }
  template <class E>
  [[nodiscard]] bool failed_with() const noexcept {
    if (!exception_)
      return false;
    try {
      std::rethrow_exception(exception_);
    } catch (const E&) {
      return true;
    } catch (...) {
      return false;
    }
  }

  /// The result, once; needs ready().
  T take() {
    if (exception_)
      std::rethrow_exception(std::exchange(exception_, nullptr));
    if constexpr (std::is_void_v<T>) {
      return;
    } else if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(**value_);
    } else {
      return std::move(*value_);
    }
  }

 protected:
  template <class S, class... A>
  friend state_pointer<S> make_state(A&&...);

  struct unit {};
  using stored =
      std::conditional_t<std::is_void_v<T>, unit,
                         std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;
  ~future_state() override {
    if (tells_loss_ && exception_)
      tell_lost_error(exception_, "a spawned task failed, and its future was dropped unread");
  }

  std::optional<stored> value_;
  std::exception_ptr exception_;
  /// An exception that nobody takes is to be told of.
  bool tells_loss_ = false;
};

/// Awaits a future; a cancelled wait asks the work to stop and leaves the future valid.
template <class T>
class [[nodiscard]] future_awaitable : public awaitable_operation<future_state_base::wait_operation> {
  using base = awaitable_operation<future_state_base::wait_operation>;

 public:
  future_awaitable(future<T>& awaited, future_state<T>& state)
      : base(future_state_base::wait_operation{state}), awaited_(&awaited) {}

  T await_resume() {
    base::await_resume();
    return state_pointer(std::move(awaited_->state_))->take();
  }

  void cancel() noexcept override {
    future_state_base& work = this->operation_.self;
    // Withdrawn first, so that a cancellation which completes the work at once does not wake this waiter a
    // second time.
    if (!work.withdraw(*this))
      return;
    work.cancel_work();
    end_cancelled();
  }

 private:
  future<T>* awaited_;
};

} // namespace fourfold::detail
