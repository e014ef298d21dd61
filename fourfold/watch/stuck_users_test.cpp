#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/queue.hpp>
#include <fourfold/watch/watch_test.hpp>

#include <atomic>
#include <functional>
#include <mutex>

// Circles through queues, in a program whose other threads go on.

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using watching::named_thread;
using watching::patience;
using watching::recorded_detection;

/// A detection whose first report, of what hangs, calls `rescue`; and a thread that goes on until then.
class rescued_detection {
 public:
  explicit rescued_detection(std::function<void()> rescue)
      : rescue_(std::move(rescue)),
        detection_({.handler = [this](std::string_view text) { keep(text); }, .look_every = 10ms}) {}

  std::string report_while_something_goes_on() {
    while (!reported_.is_set())
      std::this_thread::yield();
    return text_;
  }
  [[nodiscard]] deadlock_detection::counts found() const { return detection_.found(); }

 private:
  void keep(std::string_view text) {
    if (reported_.is_set())
      return;
    text_ = text;
    rescue_();
    reported_.set();
  }

  std::function<void()> rescue_;
  std::string text_;
  event reported_;
  deadlock_detection detection_;
};

TEST(stuck_users, who_each_fill_the_queue_that_the_other_one_reads_are_reported) {
  queue<int> there(1);
  queue<int> back(1);
  rescued_detection detection([&] { EXPECT_TRUE(there.try_get()); });
  const auto one = named_thread("one", [&] {
    there.put(1);
    EXPECT_EQ(back.get(), 1);
    there.put(2);
    there.put(3);
    EXPECT_EQ(back.get(), 2);
    EXPECT_EQ(back.get(), 3);
  });
  const auto other = named_thread("other", [&] {
    EXPECT_EQ(there.get(), 1);
    back.put(1);
    back.put(2);
    back.put(3);
    EXPECT_EQ(there.get(), 3); // 2 is what the rescue has taken
  });
  EXPECT_THAT(detection.report_while_something_goes_on(),
              AllOf(HasSubstr("likely deadlock: 2 parties"), HasSubstr("(one)"), HasSubstr("(other)"),
                    HasSubstr("waits for room in the queue")));
  EXPECT_EQ(detection.found().stuck_users, 1U);
  EXPECT_EQ(detection.found().deadlocks, 0U);
}

TEST(stuck_users, of_whom_one_holds_the_lock_that_the_other_one_wants_before_it_puts_are_reported) {
  queue<int> items;
  mutex m;
  event has_put;
  event has_lock;
  rescued_detection detection([&] { items.put(2); });
  const auto reader = named_thread("reader", [&] {
    has_put.wait(patience);
    const std::scoped_lock guard(m);
    EXPECT_EQ(items.get(), 1);
    has_lock.set();
    EXPECT_EQ(items.get(), 2);
  });
  const auto writer = named_thread("writer", [&] {
    items.put(1);
    has_put.set();
    has_lock.wait(patience);
    const std::scoped_lock guard(m);
  });
  EXPECT_THAT(detection.report_while_something_goes_on(),
              AllOf(HasSubstr("likely deadlock: 2 parties"), HasSubstr("waits for an item of the queue"),
                    HasSubstr("waits for mutex"), HasSubstr("holds mutex")));
}

TEST(stuck_users, that_are_a_task_and_a_thread_are_reported) {
  queue<int> there(1);
  queue<int> back(1);
  rescued_detection detection([&] { EXPECT_TRUE(there.try_get()); });
  const auto thread = named_thread("other", [&] {
    EXPECT_EQ(there.get(), 1);
    back.put(1);
    back.put(2);
    back.put(3);
    EXPECT_EQ(there.get(), 3);
  });
  const auto loops = named_thread("loop", [&] {
    auto talk = [&]() -> task<> {
      co_await there.async_put(1);
      EXPECT_EQ(co_await back.async_get(), 1);
      co_await there.async_put(2);
      co_await there.async_put(3);
      EXPECT_EQ(co_await back.async_get(), 2);
      EXPECT_EQ(co_await back.async_get(), 3);
    };
    auto body = [&](task_group& group) -> task<> {
      group.spawn(talk(), "the talker");
      co_return;
    };
    run(with_task_group(body));
  });
  EXPECT_THAT(detection.report_while_something_goes_on(),
              AllOf(HasSubstr("task \"the talker\""), HasSubstr("(other)"), Not(HasSubstr("(loop)"))));
}

TEST(stuck_users, is_one_who_fills_a_queue_that_only_he_reads) {
  queue<int> own(1);
  rescued_detection detection([&] { EXPECT_TRUE(own.try_get()); });
  const auto thread = named_thread("alone", [&] {
    own.put(1);
    EXPECT_EQ(own.get(), 1);
    own.put(2);
    own.put(3);
  });
  EXPECT_THAT(detection.report_while_something_goes_on(),
              AllOf(HasSubstr("one party waits for itself"), HasSubstr("(alone)")));
}

// What is none.

/// A detection that looks all the time, at threads that wait and are not stuck.
class are_not_stuck_users : public testing::Test {
 protected:
  /// Returns once all who wait now have been looked at: when one who got stuck after them has been reported, alone.
  void expect_nothing_but_one_who_comes_later() {
    queue<int> own(1);
    const auto later = named_thread("later", [&] {
      own.put(1);
      EXPECT_EQ(own.get(), 1);
      own.put(2);
      own.put(3);
    });
    while (detection.reports().empty())
      std::this_thread::yield();
    EXPECT_TRUE(own.try_get());
    EXPECT_THAT(detection.reports(),
                ElementsAre(AllOf(HasSubstr("one party waits for itself"), HasSubstr("(later)"))));
    EXPECT_EQ(detection.found().deadlocks, 0U);
    EXPECT_EQ(detection.found().standstills, 0U);
  }

  const recorded_detection detection{{.look_every = 1ms}};
  test::parking_threads threads;
};

TEST_F(are_not_stuck_users, those_who_wait_for_work_and_for_its_results) {
  queue<int> work;
  queue<int> results;
  const auto until_there = [](const queue<int>& q) {
    while (q.size() == 0)
      std::this_thread::yield();
  };
  const std::jthread worker = threads.start([&] {
    until_there(work);
    while (const auto item = work.next())
      results.put(*item * 2);
  });
  const std::jthread caller = threads.start([&] {
    work.put(1);
    until_there(results);
    EXPECT_EQ(results.get(), 2);
    EXPECT_EQ(results.get(), 4); // of what somebody else will ask for
  });
  threads.await_parked(2);
  expect_nothing_but_one_who_comes_later();
  work.put(2);
  work.close();
}

TEST_F(are_not_stuck_users, those_one_of_whose_readers_has_ended_since_others_may_come) {
  queue<int> items(1);
  const std::jthread writer = threads.start([&] {
    items.put(1);
    EXPECT_EQ(items.get(), 1);
    items.put(2);
    std::jthread([&] { EXPECT_EQ(items.get(), 2); }).join();
    items.put(3);
    items.put(4);
  });
  threads.await_parked(1);
  expect_nothing_but_one_who_comes_later();
  EXPECT_EQ(items.get(), 3);
  EXPECT_EQ(items.get(), 4);
}

TEST_F(are_not_stuck_users, those_whose_reader_is_busy) {
  queue<int> items(1);
  const std::jthread writer = threads.start([&] {
    items.put(1);
    while (items.size() != 0)
      std::this_thread::yield();
    items.put(2);
    items.put(3);
  });
  EXPECT_EQ(items.get(), 1);
  threads.await_parked(1);
  expect_nothing_but_one_who_comes_later();
  EXPECT_EQ(items.get(), 2);
  EXPECT_EQ(items.get(), 3);
}

TEST_F(are_not_stuck_users, those_who_wait_with_a_time_limit) {
  queue<int> own(1);
  const std::jthread limited = threads.start([&] {
    own.put(1);
    EXPECT_EQ(own.get(), 1);
    own.put(2);
    own.put(3, patience);
  });
  threads.await_parked(1);
  expect_nothing_but_one_who_comes_later();
  EXPECT_EQ(own.get(), 2);
  EXPECT_EQ(own.get(), 3);
}

} // namespace
} // namespace fourfold
