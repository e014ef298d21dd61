#pragma once

#include <fourfold/base/errors.hpp>
#include <fourfold/watch/deadlock_detection.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

// What the tests of this floor share.

namespace fourfold::watching {

inline constexpr auto patience = std::chrono::seconds(30);

/// A detection that keeps its reports.
class recorded_detection {
 public:
  explicit recorded_detection(on_deadlock action = on_deadlock::throw_error,
                              std::uint64_t vain_attempts = 1000)
      : recorded_detection({.action = action, .vain_attempts = vain_attempts}) {}
  explicit recorded_detection(deadlock_options options) : detection_(with_handler(std::move(options))) {}

  [[nodiscard]] deadlock_detection::counts found() const { return detection_.found(); }
  [[nodiscard]] std::vector<std::string> reports() const {
    const std::lock_guard guard(mutex_);
    return reports_;
  }
  void expect_nothing() const {
    EXPECT_EQ(found().deadlocks, 0U);
    EXPECT_EQ(found().inversions, 0U);
    EXPECT_EQ(found().livelocks, 0U);
    EXPECT_EQ(found().standstills, 0U);
    EXPECT_EQ(found().stuck_users, 0U);
    EXPECT_THAT(reports(), testing::IsEmpty());
  }

 private:
  deadlock_options with_handler(deadlock_options options) {
    options.handler = [this](std::string_view report) { keep(report); };
    return options;
  }
  void keep(std::string_view report) {
    const std::lock_guard guard(mutex_);
    reports_.emplace_back(report);
  }

  mutable std::mutex mutex_; // a standard one: the detection does not see it
  std::vector<std::string> reports_;
  deadlock_detection detection_;
};

/// The reports of the `deadlock` errors that work threw.
class caught_deadlocks {
 public:
  template <class F>
  void run(F&& f) {
    try {
      f();
    } catch (const deadlock& e) {
      add(e);
    }
  }
  void add(const deadlock& e) {
    const std::lock_guard guard(mutex_);
    texts_.emplace_back(e.what());
  }
  [[nodiscard]] std::vector<std::string> texts() const {
    const std::lock_guard guard(mutex_);
    return texts_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> texts_;
};

/// A thread with a name that the kernel knows; joined at the end.
template <class F>
std::jthread named_thread(const char* name, F f) {
  return std::jthread([name, f = std::move(f)]() mutable {
    pthread_setname_np(pthread_self(), name);
    f();
  });
}

} // namespace fourfold::watching
