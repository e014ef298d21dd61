#pragma once

#include <coroutine>

namespace fourfold::detail {

/// How control passes between the coroutines of one chain without growing the stack.
///
/// Compilers turn a symmetric transfer into a jump only when they optimise, so a million levels of ready
/// tasks would overflow the stack at -O0. Instead, a coroutine starts the child that it awaits by an ordinary
/// nested call, which is the fastest way there is, up to `nesting_limit` levels deep; beyond, and when a
/// suspended coroutine ends, it leaves the handle to run next here and returns to the loop's trampoline,
/// `run_chain`.
struct trampoline {
  static constexpr unsigned nesting_limit = 32;

  std::coroutine_handle<> next;
  unsigned depth = 0;
  /// Set when the coroutine at the root of the running chain has reached its end.
  bool root_done = false;
};

inline constinit thread_local trampoline this_thread_trampoline;

/// Runs a chain from `at` until it suspends on something outside or ends. True when it ended.
inline bool run_chain(std::coroutine_handle<> at) {
  trampoline& t = this_thread_trampoline;
  t.root_done = false;
  do {
    t.next = {};
    at.resume();
    at = t.next;
  } while (at);
  return t.root_done;
}

/// What to continue when a coroutine ends: nothing but the end of the chain (null), the caller that has it
/// nested on the stack, or a suspended coroutine.
class continuation {
 public:
  [[nodiscard]] static continuation nested() noexcept { return continuation(&nested_mark_); }
  [[nodiscard]] static continuation of(std::coroutine_handle<> suspended) noexcept {
    return continuation(suspended.address());
  }
  continuation() noexcept = default;

  /// At final suspension.
  void run() const noexcept {
    trampoline& t = this_thread_trampoline;
    if (address_ == &nested_mark_)
      return;
    if (address_ == nullptr) {
      t.root_done = true;
    } else {
      t.next = std::coroutine_handle<>::from_address(address_);
    }
  }

 private:
  explicit continuation(void* address) noexcept : address_(address) {}
  static inline char nested_mark_ = 0;

  void* address_ = nullptr;
};

/// Starts `child` on behalf of `parent`, which is being suspended on it. False when the child ended at once,
/// and the parent goes on without having been suspended.
inline bool start_child(std::coroutine_handle<> child, continuation& when_done,
                        std::coroutine_handle<> parent) {
  trampoline& t = this_thread_trampoline;
  if (t.depth < trampoline::nesting_limit) {
    when_done = continuation::nested();
    const unsigned depth = t.depth;
    t.depth = depth + 1;
    child.resume();
    t.depth = depth; // not --: the next child would have to wait for what this one has stored
    if (child.done())
      return false;
    when_done = continuation::of(parent);
    return true;
  }
  when_done = continuation::of(parent);
  t.next = child;
  return true;
}

} // namespace fourfold::detail
