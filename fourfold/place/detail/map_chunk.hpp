#pragma once

#include <fourfold/base/cancellation.hpp>
#include <fourfold/base/clock.hpp>
#include <fourfold/loop/task.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace fourfold::detail {

/// A result that can be kept; `std::monostate` stands for void.
template <class R>
using kept_result = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

/// What a call for some inputs gives back.
template <class T, class R>
struct chunk_result {
  std::vector<kept_result<R>> results;
  /// The inputs that it has not begun because its time was over.
  std::vector<T> rest;
  std::int64_t nanoseconds = 0;
};

/// Calls `f` for each of some inputs; what map() submits. Without state if `f` has none, so that it travels
/// to a process.
///
/// Gives back what it has not begun when `time` (nanoseconds) has passed: whoever chose the number of inputs
/// could only guess how long they take, and others may be idle. The clock is looked at after each input, and
/// less often while inputs are short.
template <class F, class T>
struct chunk_call {
  using result = call_result_t<F, T>;

  [[no_unique_address]] F f;

  chunk_result<T, result> operator()(std::vector<T> inputs, std::int64_t time) const {
    constexpr std::size_t longest_stride = 64;
    constexpr auto look_interval = std::chrono::microseconds(20);
    const auto begin = clock::now();
    auto looked = begin;
    chunk_result<T, result> done;
    done.results.reserve(inputs.size());
    std::size_t stride = 1;
    for (std::size_t next = 0;;) {
      const std::size_t stop = std::min(inputs.size(), next + stride);
      for (; next < stop; ++next) {
        if constexpr (std::is_void_v<result>) {
          std::invoke(f, std::move(inputs[next]));
          done.results.emplace_back();
        } else {
          done.results.push_back(std::invoke(f, std::move(inputs[next])));
        }
      }
      const auto now = clock::now();
      done.nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(now - begin).count();
      if (next == inputs.size())
        return done;
      if (done.nanoseconds >= time || current_cancellation().cancellation_requested()) {
        done.rest.assign(std::make_move_iterator(inputs.begin() + static_cast<std::ptrdiff_t>(next)),
                         std::make_move_iterator(inputs.end()));
        return done;
      }
      stride = now - looked < look_interval ? std::min(2 * stride, longest_stride) : 1;
      looked = now;
    }
  }
};

/// How many inputs to put into a call: one at first, and then so many that a call takes `target`, by what
/// those before have taken; never more than fit into memory that a processor's cache and a worker's ring hold
/// with ease.
class chunk_sizes {
 public:
  /// `fixed` (0: none) overrides the choice.
  chunk_sizes(std::size_t fixed, std::size_t bytes_each) noexcept
      : fixed_(fixed),
        largest_(std::max<std::size_t>(1, largest_bytes / std::max<std::size_t>(1, bytes_each))) {}

  [[nodiscard]] std::size_t next() const noexcept { return fixed_ != 0 ? fixed_ : size_; }
  /// After so many nanoseconds a call is to give back the rest.
  [[nodiscard]] std::int64_t time() const noexcept {
    return fixed_ != 0 ? std::numeric_limits<std::int64_t>::max() : 4 * target;
  }

  void measured(std::size_t inputs, std::int64_t nanoseconds) noexcept {
    const double each = static_cast<double>(nanoseconds) / static_cast<double>(inputs);
    // Quickly up, slowly down: calls that are too long leave others idle, ones that are too short only cost.
    cost_ = cost_ < 0 ? each : cost_ + (each - cost_) / (each > cost_ ? 2 : 4);
    const double fitting = static_cast<double>(target) / (cost_ + 1);
    const auto most = static_cast<double>(std::min(largest_, growth * size_));
    size_ = static_cast<std::size_t>(std::clamp(fitting, 1.0, most));
  }

 private:
  static constexpr std::int64_t target = 1'000'000; // nanoseconds: a thousand times what a call costs
  static constexpr std::size_t growth = 8;
  static constexpr std::size_t largest_bytes = std::size_t{48} * 1024;

  std::size_t fixed_;
  std::size_t largest_;
  std::size_t size_ = 1;
  double cost_ = -1; // nanoseconds an input; negative: not known
};

} // namespace fourfold::detail
