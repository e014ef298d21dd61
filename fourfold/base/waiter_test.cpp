#include <fourfold/base/errors.hpp>
#include <fourfold/base/waiter.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

/// The simplest primitive: a place for one waiter.
class one_place final : public parking_place {
 public:
  struct operation {
    one_place& self;
    bool try_now() const { return false; }
    bool park(waiter& w) const {
      self.parked.store(&w);
      self.parked.notify_all();
      return true;
    }
    parking_place& place() const { return self; }
    wake_reason result(wake_reason reason) const { return reason; }
  };

  bool withdraw(waiter& w) noexcept override {
    waiter* expected = &w;
    return parked.compare_exchange_strong(expected, nullptr);
  }
  /// Waits until somebody is parked, takes it out and wakes it.
  void grant(wake_reason reason) {
    parked.wait(nullptr);
    waiter* w = parked.exchange(nullptr);
    w->reason = reason;
    w->wake();
  }
  wake_reason wait(const wait_limit& limit = {}) { return wait_blocking(operation{*this}, limit); }

  std::atomic<waiter*> parked{nullptr};
};

TEST(thread_waiter, wakes_with_the_reason_it_was_given) {
  one_place place;
  for (const auto reason : {wake_reason::granted, wake_reason::closed}) {
    std::jthread granter([&] { place.grant(reason); });
    EXPECT_EQ(place.wait(), reason);
  }
}

TEST(thread_waiter, times_out_and_is_withdrawn) {
  one_place place;
  EXPECT_THROW(place.wait(1ms), timed_out);
  EXPECT_EQ(place.parked, nullptr);
}

TEST(thread_waiter, deadline_in_the_past_ends_the_wait_also_before_the_machine_was_started) {
  one_place place;
  EXPECT_THROW(place.wait(clock::now() - 1s), timed_out);
  EXPECT_THROW(place.wait(clock::time_point{}), timed_out);
  EXPECT_THROW(place.wait(clock::time_point{} - 1h), timed_out);
  EXPECT_THROW(place.wait(clock::time_point::min()), timed_out);
}

TEST(thread_waiter, cancelled_before_the_wait_does_not_park) {
  one_place place;
  cancellation_source source;
  source.request_cancellation();
  EXPECT_THROW(place.wait(source.token()), cancelled);
  EXPECT_EQ(place.parked, nullptr);
}

TEST(thread_waiter, is_cancelled_from_another_thread_while_parked) {
  one_place place;
  cancellation_source source;
  std::jthread canceller([&] {
    place.parked.wait(nullptr);
    source.request_cancellation();
  });
  EXPECT_THROW(place.wait({1h, source.token()}), cancelled);
  EXPECT_EQ(place.parked, nullptr);
}

TEST(thread_waiter, grant_cancellation_and_deadline_racing_have_one_outcome) {
  for (int round = 0; round < 300; ++round) {
    one_place place;
    cancellation_source source;
    std::atomic<int> taken{0};
    std::jthread granter([&] {
      waiter* w = nullptr;
      // Gives up when the waiter was withdrawn by the others.
      while ((w = place.parked.exchange(nullptr)) == nullptr && taken == 0)
        std::this_thread::yield();
      if (w == nullptr)
        return;
      taken = 2;
      w->wake();
    });
    std::jthread canceller([&] { source.request_cancellation(); });
    bool mine = false;
    try {
      place.wait({std::chrono::microseconds(round), source.token()});
      mine = true;
    } catch (const error&) {
      int none = 0;
      taken.compare_exchange_strong(none, 1);
    }
    granter.join();
    EXPECT_EQ(mine, taken == 2);
  }
}

TEST(blocking_observer, is_told_before_and_after_a_thread_blocks_and_not_otherwise) {
  struct counter final : blocking_observer {
    void about_to_block() noexcept override { ++blocked; }
    void unblocked() noexcept override { ++gone_on; }
    int blocked = 0;
    int gone_on = 0;
  } observer;
  EXPECT_EQ(this_thread_blocking_observer(), nullptr);
  set_this_thread_blocking_observer(&observer);
  one_place place;
  EXPECT_THROW(place.wait(1us), timed_out);
  EXPECT_EQ(observer.blocked, 1);
  EXPECT_EQ(observer.gone_on, 1);
  cancellation_source source;
  source.request_cancellation();
  EXPECT_THROW(place.wait(source.token()), cancelled);
  EXPECT_EQ(observer.blocked, 1);
  set_this_thread_blocking_observer(nullptr);
}

} // namespace
} // namespace fourfold
