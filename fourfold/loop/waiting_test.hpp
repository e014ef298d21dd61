#pragma once

#include <fourfold/base/waiter.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/sync/event.hpp>

#include <atomic>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

/// What the tests of things that are waited on have in common.
namespace fourfold::test {

/// Starts threads and knows how many times they have parked: a test waits for that instead of sleeping.
class parking_threads {
 public:
  template <class F>
  [[nodiscard]] std::jthread start(F f) {
    return std::jthread([this, f = std::move(f)]() mutable {
      counting_observer observer(parked_);
      set_this_thread_blocking_observer(&observer);
      f();
      set_this_thread_blocking_observer(nullptr);
    });
  }
  /// Waits until threads started here have parked `times` times in all.
  void await_parked(int times) {
    for (int seen = parked_.load(); seen < times; seen = parked_.load())
      parked_.wait(seen);
  }

 private:
  struct counting_observer final : blocking_observer {
    explicit counting_observer(std::atomic<int>& count) : parked(count) {}
    // A thread is on its primitive's list already when it announces that it blocks.
    void about_to_block() noexcept override {
      ++parked;
      parked.notify_all();
    }
    void unblocked() noexcept override {}
    std::atomic<int>& parked;
  };
  std::atomic<int> parked_{0};
};

/// A loop that runs on a thread of its own until this is destroyed.
class loop_thread {
 public:
  loop_thread() : thread_([this] { loop_.run(run_until(stop_)); }) {}
  ~loop_thread() { stop_.set(); }
  loop_thread(const loop_thread&) = delete;
  loop_thread& operator=(const loop_thread&) = delete;

  loop& operator*() noexcept { return loop_; }
  loop* operator->() noexcept { return &loop_; }

 private:
  static task<> run_until(event& stop) { co_await stop.async_wait(); }

  loop loop_;
  event stop_;
  std::jthread thread_;
};

/// Takes FOURFOLD_SHUFFLE away while it exists: for a test of which order itself is the subject. Loops made meanwhile
/// run what is ready first come, first served. To be made before the test starts any thread.
class in_order_of_readiness {
 public:
  /// `reason` says which promised order the test examines.
  explicit in_order_of_readiness([[maybe_unused]] std::string_view reason) {
    if (const char* seed = std::getenv(name)) {
      seed_ = seed;
      ::unsetenv(name);
    }
  }
  ~in_order_of_readiness() {
    if (seed_)
      ::setenv(name, seed_->c_str(), 1);
  }
  in_order_of_readiness(const in_order_of_readiness&) = delete;
  in_order_of_readiness& operator=(const in_order_of_readiness&) = delete;

 private:
  static constexpr const char* name = "FOURFOLD_SHUFFLE";
  std::optional<std::string> seed_;
};

/// Lets every coroutine that is ready now, and what these make ready in turn, run: `rounds` times around the
/// queue.
inline task<> let_others_run(int rounds = 10) {
  for (int i = 0; i < rounds; ++i)
    co_await yield();
}

} // namespace fourfold::test
