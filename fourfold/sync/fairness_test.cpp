#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/queue.hpp>
#include <fourfold/sync/recursive_mutex.hpp>
#include <fourfold/sync/semaphore.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

// Whoever waits is served before those who came later, however often and however fast these come again.
namespace fourfold {
namespace {

constexpr int rounds = 20;
constexpr int thread_mark = 0;
constexpr int coroutine_mark = 1;
constexpr int again_mark = 2;

// One interface for what a section is guarded by.
template <class Mutex>
struct guard_of {
  Mutex m;
  void enter() { m.lock(); }
  auto async_enter() { return m.async_lock(); }
  void leave() { m.unlock(); }
};
template <>
struct guard_of<semaphore> {
  semaphore s = semaphore::bounded(1);
  void enter() { s.acquire(); }
  auto async_enter() { return s.async_acquire(); }
  void leave() { s.release(); }
};

template <class Guard>
task<> pass_once(Guard& g, std::vector<int>& order) {
  co_await g.async_enter();
  order.push_back(coroutine_mark);
  g.leave();
}

template <class Lock>
void expect_nobody_is_overtaken() {
  guard_of<Lock> g;
  test::loop_thread loop;
  std::vector<int> order;
  g.enter();
  for (int round = 0; round < rounds; ++round) {
    test::parking_threads threads;
    std::jthread waiting = threads.start([&] {
      g.enter();
      order.push_back(thread_mark);
      g.leave();
    });
    threads.await_parked(1);
    auto awaiting = loop->submit(pass_once<guard_of<Lock>>, std::ref(g), std::ref(order));
    loop->submit(test::let_others_run, 2).get(); // behind the coroutine: it has parked
    g.leave();
    g.enter();
    order.push_back(again_mark);
    awaiting.get();
  }
  g.leave();
  std::vector<int> expected;
  for (int round = 0; round < rounds; ++round)
    expected.insert(expected.end(), {thread_mark, coroutine_mark, again_mark});
  EXPECT_EQ(order, expected);
}

TEST(mutex, nobody_is_overtaken_by_one_that_comes_again_and_again) { expect_nobody_is_overtaken<mutex>(); }

TEST(recursive_mutex, nobody_is_overtaken_by_one_that_comes_again_and_again) {
  expect_nobody_is_overtaken<recursive_mutex>();
}

TEST(semaphore, nobody_is_overtaken_by_one_that_comes_again_and_again) {
  expect_nobody_is_overtaken<semaphore>();
}

TEST(queue, nobody_takes_an_item_or_a_place_from_one_that_waits_for_it) {
  auto get_one = [](queue<int>& q) -> task<int> { co_return co_await q.async_get(); };
  auto put_one = [](queue<int>& q, int item) -> task<> { co_await q.async_put(item); };
  queue<int> q(1);
  test::loop_thread loop;
  for (int round = 0; round < rounds; ++round) {
    test::parking_threads threads;
    int of_thread = 0;
    std::jthread getter = threads.start([&] { of_thread = q.get(); });
    threads.await_parked(1);
    auto of_coroutine = loop->submit(get_one, std::ref(q));
    loop->submit(test::let_others_run, 2).get();
    for (const int item : {1, 2}) {
      q.put(item);
      EXPECT_EQ(q.try_get(), std::nullopt);
    }
    getter.join();
    EXPECT_EQ(of_thread, 1);
    EXPECT_EQ(of_coroutine.get(), 2);

    q.put(3);
    std::jthread putter = threads.start([&] { q.put(4); });
    threads.await_parked(2);
    auto putting = loop->submit(put_one, std::ref(q), 5);
    loop->submit(test::let_others_run, 2).get();
    for (const int item : {3, 4}) {
      EXPECT_EQ(q.get(), item);
      EXPECT_FALSE(q.try_put(6));
    }
    EXPECT_EQ(q.get(), 5);
    putter.join();
    putting.get();
  }
}

} // namespace
} // namespace fourfold
