#pragma once

#include <fourfold/base/intrusive_list.hpp>
#include <fourfold/base/small_lock.hpp>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <utility>

namespace fourfold {

class cancellation_source;
class cancellation_token;

namespace detail {

/// A callback as the source sees it: links in the source's list and what to call.
class cancellation_callback_base : public list_links {
 public:
  using function = void (*)(cancellation_callback_base&) noexcept;
  explicit cancellation_callback_base(function call) noexcept : call_(call) {}

 private:
  friend class fourfold::cancellation_source;
  function call_;
};

} // namespace detail

/// Where cancellation is requested. The state lives in the source itself, so nothing is ever allocated; in
/// return the source does not move and must outlive its tokens and callbacks (as a parent outlives the work
/// it started).
///
/// All members may be called from any thread at any time.
class cancellation_source {
 public:
  cancellation_source() noexcept = default;
  cancellation_source(const cancellation_source&) = delete;
  cancellation_source& operator=(const cancellation_source&) = delete;

  [[nodiscard]] cancellation_token token() noexcept;

  /// Runs the registered callbacks on this thread, then returns true; false, doing nothing, if it was
  /// requested before.
  bool request_cancellation() noexcept;

  [[nodiscard]] bool cancellation_requested() const noexcept {
    // Acquire: whoever sees the request sees what its author did before making it.
    return requested_.load(std::memory_order_acquire);
  }

 private:
  template <class>
  friend class cancellation_callback;

  /// False when cancellation was requested already: the callback was not registered and its owner calls it
  /// itself.
  bool add(detail::cancellation_callback_base& callback) noexcept;
  /// On return the callback is neither registered nor running on another thread.
  void remove(detail::cancellation_callback_base& callback) noexcept;

  std::atomic<bool> requested_{false};
  small_lock lock_;
  // The callback that request_cancellation() is calling now, and a count that moves when it has returned.
  const detail::cancellation_callback_base* running_ = nullptr;
  std::uintptr_t running_thread_ = 0;
  std::atomic<std::uint32_t> returned_{0};
  intrusive_list<detail::cancellation_callback_base> callbacks_;
};

/// A view of a source, as cheap as a pointer. A default-constructed token is never cancelled.
class cancellation_token {
 public:
  cancellation_token() noexcept = default;

  [[nodiscard]] bool cancellation_requested() const noexcept {
    return source_ != nullptr && source_->cancellation_requested();
  }
  [[nodiscard]] bool can_be_cancelled() const noexcept { return source_ != nullptr; }

 private:
  friend class cancellation_source;
  template <class>
  friend class cancellation_callback;
  explicit cancellation_token(cancellation_source* source) noexcept : source_(source) {}

  cancellation_source* source_ = nullptr;
};

inline cancellation_token cancellation_source::token() noexcept { return cancellation_token(this); }

/// Calls `f()` once when the token is cancelled: on the thread that cancels, or in this constructor if that
/// was before. `f` must not throw and should be short. After the destructor `f` is not running on any other
/// thread.
///
///   cancellation_callback wake_up(token, [&] { socket.shutdown(); });
template <class F>
class cancellation_callback : private detail::cancellation_callback_base {
  static_assert(std::invocable<F&>, "a cancellation callback takes no arguments");

 public:
  cancellation_callback(cancellation_token token, F f) : cancellation_callback_base(&call), f_(std::move(f)) {
    if (token.source_ == nullptr)
      return;
    if (token.source_->add(*this)) {
      source_ = token.source_;
    } else {
      f_();
    }
  }
  ~cancellation_callback() {
    if (source_ != nullptr)
      source_->remove(*this);
  }
  cancellation_callback(const cancellation_callback&) = delete;
  cancellation_callback& operator=(const cancellation_callback&) = delete;

 private:
  static void call(cancellation_callback_base& self) noexcept {
    static_cast<cancellation_callback&>(self).f_();
  }

  F f_;
  cancellation_source* source_ = nullptr;
};

/// The token of the call that a pool runs on this thread now: cancelled when somebody cancels that call's
/// future. Outside of a pool's call, a token that is never cancelled.
[[nodiscard]] cancellation_token current_cancellation() noexcept;

/// Makes `token` the thread's current one for a scope; for those who write executors.
class current_cancellation_scope {
 public:
  explicit current_cancellation_scope(cancellation_token token) noexcept;
  ~current_cancellation_scope();
  current_cancellation_scope(const current_cancellation_scope&) = delete;
  current_cancellation_scope& operator=(const current_cancellation_scope&) = delete;

 private:
  cancellation_token previous_;
};

} // namespace fourfold
