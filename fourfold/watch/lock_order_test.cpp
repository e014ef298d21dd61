#include <fourfold/loop/run.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/watch/watch_test.hpp>

#include <memory>
#include <mutex>

namespace fourfold {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using watching::named_thread;
using watching::recorded_detection;

void lock_in_order(mutex& first, mutex& second) {
  const std::scoped_lock one(first);
  const std::scoped_lock two(second);
}

TEST(lock_orders, are_reported_once_when_inverted_though_nothing_hangs) {
  const recorded_detection detection;
  mutex a;
  mutex b;
  named_thread("ascending", [&] { lock_in_order(a, b); }).join();
  detection.expect_nothing();
  named_thread("descending", [&] { lock_in_order(b, a); }).join();
  lock_in_order(a, b);
  lock_in_order(b, a);
  EXPECT_THAT(detection.reports(),
              ElementsAre(AllOf(HasSubstr("inverted lock orders"), HasSubstr("(ascending) held mutex"),
                                HasSubstr("(descending) held mutex"), HasSubstr("and asked for mutex"),
                                HasSubstr("created at lock_order_test.cpp"))));
  EXPECT_EQ(detection.found().inversions, 1U);
  EXPECT_EQ(detection.found().deadlocks, 0U);
}

TEST(lock_orders, of_three_locks_in_a_circle_are_reported) {
  const recorded_detection detection;
  mutex a;
  mutex b;
  mutex c;
  lock_in_order(a, b);
  lock_in_order(b, c);
  detection.expect_nothing();
  lock_in_order(c, a);
  EXPECT_EQ(detection.found().inversions, 1U);
}

TEST(lock_orders, of_tasks_are_reported_too) {
  const recorded_detection detection;
  mutex a;
  mutex b;
  auto both_orders = [&]() -> task<> {
    {
      const auto first = co_await a.async_scoped_lock();
      const auto second = co_await b.async_scoped_lock();
    }
    const auto first = co_await b.async_scoped_lock();
    const auto second = co_await a.async_scoped_lock();
  };
  run(both_orders());
  EXPECT_EQ(detection.found().inversions, 1U);
}

TEST(lock_orders, that_a_third_lock_keeps_apart_are_innocent_until_it_is_missing) {
  const recorded_detection detection;
  mutex gate;
  mutex a;
  mutex b;
  {
    const std::scoped_lock closed(gate);
    lock_in_order(a, b);
    lock_in_order(b, a);
  }
  detection.expect_nothing();
  // Whoever does this without the gate meets the one inside.
  lock_in_order(b, a);
  EXPECT_EQ(detection.found().inversions, 1U);
}

TEST(lock_orders, end_with_their_locks) {
  const recorded_detection detection;
  mutex a;
  for (int i = 0; i < 2; ++i) { // the second at the address of the first, most likely
    const auto b = std::make_unique<mutex>();
    i == 0 ? lock_in_order(a, *b) : lock_in_order(*b, a);
  }
  detection.expect_nothing();
}

} // namespace
} // namespace fourfold
