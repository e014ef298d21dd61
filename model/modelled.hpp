#pragma once

// Before anything of the library, in each file here that includes it: the library's own sources, unchanged, but every operation
// on a std::atomic and on a futex is a step of the explorer, and the names are of another namespace, beside the real ones.
//
// The standard's headers come first, for behind the two macros they would be changed, too.

#include <model/explorer.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <climits>
#include <compare>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <exception>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <optional>
#include <queue>
#include <random>
#include <ranges>
#include <semaphore>
#include <set>
#include <source_location>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/types.h>
#include <unistd.h>

namespace std {

/// What the sources below get for std::atomic. Always sequentially consistent.
template <class T>
class modelled_atomic {
 public:
  constexpr modelled_atomic() noexcept = default;
  constexpr modelled_atomic(T value) noexcept : value_(value) {}
  modelled_atomic(const modelled_atomic&) = delete;
  modelled_atomic& operator=(const modelled_atomic&) = delete;

  T operator=(T value) noexcept {
    store(value);
    return value;
  }
  T load(std::memory_order = std::memory_order_seq_cst) const noexcept {
    interleavings::step(this, interleavings::access::read);
    return value_;
  }
  void store(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
    writes();
    value_ = value;
  }
  T exchange(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
    writes();
    return std::exchange(value_, value);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order = std::memory_order_seq_cst,
                               std::memory_order = std::memory_order_seq_cst) noexcept {
    writes();
    if (value_ == expected) {
      value_ = desired;
      return true;
    }
    expected = value_;
    return false;
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order first = std::memory_order_seq_cst,
                             std::memory_order second = std::memory_order_seq_cst) noexcept {
    return compare_exchange_strong(expected, desired, first, second);
  }
  T fetch_add(T more, std::memory_order = std::memory_order_seq_cst) noexcept {
    writes();
    return std::exchange(value_, static_cast<T>(value_ + more));
  }
  T fetch_sub(T less, std::memory_order = std::memory_order_seq_cst) noexcept {
    writes();
    return std::exchange(value_, static_cast<T>(value_ - less));
  }
  T fetch_or(T bits, std::memory_order = std::memory_order_seq_cst) noexcept {
    writes();
    return std::exchange(value_, static_cast<T>(value_ | bits));
  }
  T fetch_and(T bits, std::memory_order = std::memory_order_seq_cst) noexcept {
    writes();
    return std::exchange(value_, static_cast<T>(value_ & bits));
  }

  /// Without a step: for what looks on from outside of the run.
  [[nodiscard]] T now() const noexcept { return value_; }

 private:
  void writes() const noexcept { interleavings::step(this, interleavings::access::write); }

  T value_{};
};

} // namespace std

#define atomic modelled_atomic
#define fourfold modelled_fourfold
