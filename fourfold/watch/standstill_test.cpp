#include <fourfold/base/sanitizers.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/queue.hpp>
#include <fourfold/watch/watch_test.hpp>

#include <atomic>
#include <functional>

// What no circle shows, because nobody knows who could serve a queue or set an event: all of the program is parked.

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using watching::named_thread;

class standstill : public testing::Test {
 protected:
  void SetUp() override {
    if (under_thread_sanitizer)
      GTEST_SKIP() << "ThreadSanitizer has a thread of its own that never parks";
  }

  /// The first report ends what stands still, as nothing else could.
  static deadlock_options ending_it_by(std::function<void(std::string_view)> rescue) {
    return {.action = on_deadlock::report, .handler = std::move(rescue), .look_every = 10ms};
  }
};

TEST_F(standstill, of_two_threads_with_empty_queues_is_reported_with_both) {
  queue<int> there;
  queue<int> back;
  std::string report;
  const deadlock_detection detection(ending_it_by([&](std::string_view text) {
    report = text;
    there.put(1);
  }));
  const auto answer = [&] { back.put(there.get()); };
  const auto other = named_thread("answers", answer);
  EXPECT_EQ(back.get(), 1); // nobody has asked
  EXPECT_THAT(report, AllOf(HasSubstr("standstill"), HasSubstr("(answers)"),
                            HasSubstr("waits for an item of the queue")));
  EXPECT_EQ(detection.found().standstills, 1U);
}

TEST_F(standstill, of_a_thread_with_a_full_queue_whose_reader_is_joined_by_another_library_is_reported) {
  queue<int> full(1);
  const deadlock_detection detection(ending_it_by([&](std::string_view) { EXPECT_TRUE(full.try_get()); }));
  auto writer = named_thread("writes", [&] {
    full.put(1);
    full.put(2);
  });
  writer.join(); // and reads only then
  EXPECT_EQ(full.get(), 2);
  EXPECT_EQ(detection.found().standstills, 1U);
}

TEST_F(standstill, of_tasks_on_one_loop_is_reported_with_all) {
  queue<int> one;
  queue<int> other;
  std::string report;
  const deadlock_detection detection(ending_it_by([&](std::string_view text) {
    report = text;
    one.put(1);
  }));
  const auto pass_on = [](queue<int>& from, queue<int>& to) -> task<> { to.put(co_await from.async_get()); };
  auto body = [&](task_group& group) -> task<> {
    group.spawn(pass_on(one, other), "Vladimir");
    group.spawn(pass_on(other, one), "Estragon");
    co_return;
  };
  run(with_task_group(body));
  EXPECT_THAT(report, AllOf(HasSubstr("\"Vladimir\""), HasSubstr("\"Estragon\"")));
  EXPECT_EQ(detection.found().standstills, 1U);
}

TEST_F(standstill, that_was_reported_as_a_deadlock_is_not_reported_again) {
  cancellation_source rescue;
  std::atomic<int> reports{0};
  const deadlock_detection detection(
      {.action = on_deadlock::report, .handler = [&](std::string_view) { ++reports; }, .look_every = 1ms});
  mutex m;
  const std::scoped_lock guard(m);
  std::jthread hangs([&] {
    mutex own;
    own.lock();
    EXPECT_THROW(own.lock(rescue.token()), cancelled);
    own.unlock();
  });
  // This thread sleeps, which is no standstill, and then joins, which would be one.
  std::jthread rescuer([&] {
    std::this_thread::sleep_for(100ms);
    rescue.request_cancellation();
  });
  hangs.join();
  EXPECT_EQ(reports, 1);
  EXPECT_EQ(detection.found().standstills, 0U);
}

TEST_F(standstill, is_not_that_a_sleep_or_a_timer_will_end_it) {
  queue<int> items;
  std::atomic<int> reports{0};
  const deadlock_detection detection({.handler = [&](std::string_view) { ++reports; }, .look_every = 1ms});
  {
    const std::jthread sleeper([&] {
      std::this_thread::sleep_for(50ms);
      items.put(1);
    });
    EXPECT_EQ(items.get(), 1);
  }
  auto timed = [&]() -> task<> {
    co_await sleep(50ms);
    items.put(2);
  };
  auto both = [&](task_group& group) -> task<> {
    group.spawn(timed());
    static_cast<void>(co_await items.async_get());
  };
  run(with_task_group(both));
  EXPECT_EQ(reports, 0);
  EXPECT_EQ(detection.found().standstills, 0U);
}

TEST_F(standstill, is_not_that_a_thread_computes) {
  event done;
  std::atomic<int> reports{0};
  const deadlock_detection detection({.handler = [&](std::string_view) { ++reports; }, .look_every = 1ms});
  const std::jthread busy([&] {
    const auto end = clock::now() + 50ms;
    while (clock::now() < end) {
    }
    done.set();
  });
  done.wait();
  EXPECT_EQ(reports, 0);
}

} // namespace
} // namespace fourfold
