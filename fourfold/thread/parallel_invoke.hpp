#pragma once

#include <fourfold/thread/detail/fork_scope.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <concepts>
#include <exception>
#include <functional>

namespace fourfold {
namespace detail {

template <class F>
class invoke_part final : public fork_frame {
 public:
  invoke_part(fork_scope& scope, F& f) noexcept : fork_frame(scope), scope_(scope), f_(f) {}

 private:
  void run() noexcept override {
    try {
      std::invoke(f_);
    } catch (...) {
      scope_.fail(std::current_exception());
    }
  }

  fork_scope& scope_;
  F& f_;
};

template <class F>
void invoke_parts(fork_scope& scope, F& first) noexcept {
  if (scope.leaves_out())
    return;
  try {
    std::invoke(first);
  } catch (...) {
    scope.fail(std::current_exception());
  }
}

template <class F, class G, class... H>
void invoke_parts(fork_scope& scope, F& first, G& second, H&... further) noexcept {
  invoke_part<F> part(scope, first);
  scope.fork(part);
  invoke_parts(scope, second, further...);
  scope.join(part);
}

} // namespace detail

/// Calls each function once, some of them on other threads of the pool, and returns when all are done.
///
///   parallel_invoke(pool, [&] { left = search(tree.left); }, [&] { right = search(tree.right); });
///
/// Made for recursion: nothing is allocated, and a function that no idle thread takes is called here, at the
/// cost of about 20 ns. The last one is called first.
///
/// If one throws, those that have not begun are left out, those that run are waited for, and the first exception
/// is thrown. Threads, cancellation (by that of the pool's call it runs in) and coroutines as with
/// parallel_for.
template <std::invocable... F>
  requires(sizeof...(F) > 0)
void parallel_invoke(thread_pool& pool, F&&... functions) {
  detail::fork_scope scope(pool);
  detail::invoke_parts(scope, functions...);
  scope.finish();
}

} // namespace fourfold
