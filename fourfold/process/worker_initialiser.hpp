#pragma once

#include <fourfold/process/detail/carried_call.hpp>

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

namespace fourfold {

/// A function, and its arguments, that each worker of a pool calls before it takes calls: to load a model, open a
/// connection, raise its niceness.
///
///   process_pool pool({.workers = 4, .initialiser = {load_model, "model.bin"}});
///
/// It travels as a submitted call does, and may be a coroutine function. It is called again in each worker that
/// replaces another. If it throws, the pool gives up: calls get `pool_closed` with its text, as the next worker would
/// fail in the same way. If it crashes, another worker is tried, five times in a row at most.
class worker_initialiser {
 public:
  worker_initialiser() noexcept = default;
  template <class F, class... A>
    requires(!std::same_as<std::remove_cvref_t<F>, worker_initialiser>)
  worker_initialiser(F&& f, A&&... arguments)
      : call_(detail::carry_call(std::forward<F>(f), std::forward<A>(arguments)...)) {}

  [[nodiscard]] const detail::carried_call& call() const noexcept { return call_; }

 private:
  detail::carried_call call_;
};

} // namespace fourfold
