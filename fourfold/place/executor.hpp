#pragma once

#include <fourfold/sync/future.hpp>

#include <concepts>

namespace fourfold {

/// A place to run calls: `loop`, `thread_pool`, `process_pool`, or yours. Code that takes one as an argument
/// is written once and runs anywhere:
///
///   auto sum(executor auto& place) { return place.submit(add, 1, 2); }        // a future<int>
///
/// If submit throws, the function was not and will not be run.
template <class E>
concept executor = requires(E& place, int (*function)(int)) {
  { place.submit(function, 1) } -> std::same_as<future<int>>;
};

/// How many calls a place runs at the same time: its size() if it has one, else one.
template <executor E>
[[nodiscard]] unsigned parallelism(const E& place) noexcept {
  if constexpr (requires { place.size(); }) {
    return place.size();
  } else {
    return 1;
  }
}

} // namespace fourfold
