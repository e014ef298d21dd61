#include <fourfold/sync/event.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/watch/progress.hpp>
#include <fourfold/watch/watch_test.hpp>

#include <array>
#include <atomic>

namespace fourfold {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using watching::named_thread;
using watching::patience;
using watching::recorded_detection;

TEST(livelock, of_two_that_try_what_the_other_holds_is_reported_once) {
  const recorded_detection detection(on_deadlock::report, 100);
  std::array<mutex, 2> locks;
  std::array<event, 2> held;
  std::atomic<int> reported{0};
  const auto retry = [&](std::size_t self) {
    const std::scoped_lock mine(locks.at(self));
    held.at(self).set();
    held.at(1 - self).wait(patience);
    const auto end = std::chrono::steady_clock::now() + patience;
    while (detection.found().livelocks == 0 && std::chrono::steady_clock::now() < end)
      EXPECT_FALSE(locks.at(1 - self).try_lock());
    ++reported;
    // Until both have seen it: a lock that became free would be got.
    while (reported != 2)
      std::this_thread::yield();
  };
  {
    const auto one = named_thread("polite-one", [&] { retry(0); });
    const auto other = named_thread("polite-other", [&] { retry(1); });
  }
  EXPECT_THAT(detection.reports(),
              ElementsAre(AllOf(HasSubstr("livelock"), HasSubstr("(polite-one)"), HasSubstr("(polite-other)"),
                                HasSubstr("attempts in vain"))));
  EXPECT_EQ(detection.found().livelocks, 1U);
}

TEST(livelock, is_not_that_one_spins_for_what_another_holds_for_long) {
  const recorded_detection detection(on_deadlock::report, 100);
  mutex m;
  const std::scoped_lock guard(m);
  named_thread("spins", [&] {
    for (int i = 0; i < 1000; ++i)
      EXPECT_FALSE(m.try_lock());
  }).join();
  detection.expect_nothing();
}

TEST(livelock, is_not_that_both_fail_and_succeed_in_between) {
  const recorded_detection detection(on_deadlock::report, 100);
  std::array<mutex, 2> locks;
  const auto retry = [&](std::size_t self) {
    for (int i = 0; i < 20; ++i) {
      for (int attempt = 0; attempt < 20; ++attempt) {
        const std::scoped_lock mine(locks.at(self));
        if (locks.at(1 - self).try_lock())
          locks.at(1 - self).unlock();
      }
      locks.at(1 - self).lock();
      locks.at(1 - self).unlock();
    }
  };
  {
    const auto one = named_thread("one", [&] { retry(0); });
    const auto other = named_thread("other", [&] { retry(1); });
  }
  detection.expect_nothing();
}

TEST(progress, that_nobody_makes_is_reported_once) {
  const recorded_detection detection;
  progress transfers("transfers", 50);
  const auto spin = [&] {
    for (int i = 0; i < 100; ++i)
      transfers.tried_in_vain();
  };
  named_thread("spinner", spin).join();
  EXPECT_THAT(detection.reports(), ElementsAre(AllOf(HasSubstr("no progress with \"transfers\""),
                                                     HasSubstr("(spinner)"), HasSubstr("50 times in vain"))));
  transfers.made();
  spin();
  EXPECT_EQ(detection.found().livelocks, 2U);
}

TEST(progress, of_anybody_is_progress) {
  const recorded_detection detection;
  progress transfers("transfers", 50);
  for (int i = 0; i < 1000; ++i) {
    transfers.tried_in_vain();
    if (i % 10 == 0)
      named_thread("lucky", [&] { transfers.made(); }).join();
  }
  detection.expect_nothing();
}

} // namespace
} // namespace fourfold
