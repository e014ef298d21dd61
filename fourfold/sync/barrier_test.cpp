#include <fourfold/base/errors.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/barrier.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

static_assert(sizeof(barrier) <= 88);

task<std::ptrdiff_t> arrive(barrier& b) { co_return co_await b.async_arrive_and_wait(); }

TEST(barrier, of_one_never_waits) {
  int rounds = 0;
  barrier b(1, [&]() noexcept { ++rounds; });
  EXPECT_EQ(b.arrive_and_wait(), 0);
  EXPECT_EQ(b.arrive_and_wait(-1s), 0);
  EXPECT_EQ(run(arrive(b)), 0);
  EXPECT_EQ(rounds, 3);
}

TEST(barrier, needs_a_party) {
  EXPECT_THROW(barrier(0), std::invalid_argument);
  EXPECT_THROW(barrier(-1), std::invalid_argument);
}

TEST(barrier, releases_everybody_when_the_last_one_arrives) {
  barrier b(5);
  test::parking_threads threads;
  test::loop_thread loop;
  std::vector<std::ptrdiff_t> places(5, -1);
  std::vector<std::jthread> waiting;
  std::vector<future<std::ptrdiff_t>> awaiting;
  for (std::size_t i = 0; i < 4; i += 2) {
    waiting.push_back(threads.start([&, i] { places[i] = b.arrive_and_wait(); }));
    threads.await_parked(static_cast<int>(i / 2 + 1));
    awaiting.push_back(loop->submit(arrive, std::ref(b)));
    loop->submit(test::let_others_run, 2).get(); // behind the coroutine: it has parked
  }
  EXPECT_EQ(b.waiting(), 4);
  for (auto& a : awaiting)
    EXPECT_FALSE(a.ready());
  places[4] = b.arrive_and_wait();
  waiting.clear();
  places[1] = awaiting[0].get();
  places[3] = awaiting[1].get();
  EXPECT_EQ(places, (std::vector<std::ptrdiff_t>{0, 1, 2, 3, 4})) << "each its place in the order of coming";
  EXPECT_EQ(b.waiting(), 0);
  EXPECT_EQ(b.parties(), 5);
}

// What each party has done in each round; nobody may be two rounds ahead of another.
struct rounds_of_parties {
  static constexpr int parties = 5;
  static constexpr int rounds = 200;
  std::vector<std::atomic<int>> done = std::vector<std::atomic<int>>(parties);
  int completed = 0; // written by completions, read between them
  std::atomic<int> chosen{0};
  barrier b{parties, [this]() noexcept {
              ++completed;
              for (const auto& d : done)
                EXPECT_EQ(d, completed);
            }};

  void before(std::size_t party) { ++done[party]; }
  void after(int round, std::ptrdiff_t place) {
    EXPECT_EQ(completed, round + 1) << "no completion runs before all have come to the next round";
    if (place == 0)
      ++chosen;
  }
};

task<> run_rounds(rounds_of_parties& all, std::size_t party) {
  for (int round = 0; round < rounds_of_parties::rounds; ++round) {
    all.before(party);
    all.after(round, co_await all.b.async_arrive_and_wait());
  }
}

TEST(barrier, serves_threads_and_coroutines_round_after_round) {
  rounds_of_parties all;
  {
    test::loop_thread loops[2];
    std::vector<future<void>> coroutines;
    for (std::size_t party = 0; party < 3; ++party)
      coroutines.push_back(loops[party % 2]->submit(run_rounds, std::ref(all), party));
    std::vector<std::jthread> threads;
    for (std::size_t party = 3; party < rounds_of_parties::parties; ++party) {
      threads.emplace_back([&, party] {
        for (int round = 0; round < rounds_of_parties::rounds; ++round) {
          all.before(party);
          all.after(round, all.b.arrive_and_wait());
        }
      });
    }
    threads.clear();
    for (auto& c : coroutines)
      c.get();
  }
  EXPECT_EQ(all.completed, rounds_of_parties::rounds);
  EXPECT_EQ(all.chosen, rounds_of_parties::rounds) << "one a round";
}

TEST(barrier, party_that_gives_up_has_not_arrived_and_may_come_again) {
  barrier b(2);
  EXPECT_THROW(b.arrive_and_wait(1ms), timed_out);
  EXPECT_THROW(run(timeout(1ms, arrive(b))), timed_out);
  cancellation_source source;
  test::parking_threads threads;
  std::jthread given_up = threads.start([&] { EXPECT_THROW(b.arrive_and_wait(source.token()), cancelled); });
  threads.await_parked(1);
  source.request_cancellation();
  given_up.join();
  EXPECT_THROW(b.arrive_and_wait(source.token()), cancelled);
  EXPECT_EQ(b.waiting(), 0);
  std::jthread other = threads.start([&] { EXPECT_EQ(b.arrive_and_wait(), 0); });
  threads.await_parked(2);
  EXPECT_EQ(b.arrive_and_wait(0s), 1) << "the last one does not wait";
}

TEST(barrier, places_close_up_where_a_party_gave_up) {
  auto body = []() -> task<> {
    barrier b(3);
    std::vector<future<std::ptrdiff_t>> parties;
    for (int i = 0; i < 2; ++i) {
      parties.push_back(spawn(arrive(b)));
      co_await test::let_others_run();
    }
    parties[0].cancel();
    co_await test::let_others_run();
    EXPECT_EQ(b.waiting(), 1);
    parties.push_back(spawn(arrive(b)));
    co_await test::let_others_run();
    EXPECT_EQ(co_await arrive(b), 2);
    EXPECT_EQ(co_await parties[1], 0);
    EXPECT_EQ(co_await parties[2], 1);
  };
  run(body());
}

TEST(barrier, round_that_is_complete_is_so_for_a_party_that_is_cancelled_in_the_same_turn) {
  auto body = [](bool complete_first) -> task<> {
    barrier b(2);
    future<std::ptrdiff_t> first = spawn(arrive(b));
    co_await test::let_others_run();
    if (complete_first) {
      EXPECT_EQ(b.arrive_and_wait(0s), 1);
    }
    first.cancel();
    try {
      EXPECT_EQ(co_await first, 0);
      EXPECT_TRUE(complete_first);
    } catch (const cancelled&) {
      EXPECT_FALSE(complete_first);
      EXPECT_EQ(b.waiting(), 0);
    }
  };
  run(body(true));
  run(body(false));
}

TEST(barrier, party_that_drops_out_completes_the_round_and_is_missed_in_no_later_one) {
  int rounds = 0;
  barrier b(3, [&]() noexcept { ++rounds; });
  test::parking_threads threads;
  std::vector<std::jthread> waiting;
  for (int i = 1; i <= 2; ++i) {
    waiting.push_back(threads.start([&] {
      b.arrive_and_wait();
      b.arrive_and_wait();
    }));
    threads.await_parked(i);
  }
  b.arrive_and_drop();
  waiting.clear();
  EXPECT_EQ(rounds, 2);
  EXPECT_EQ(b.parties(), 2);
  b.arrive_and_drop();
  EXPECT_EQ(rounds, 2) << "the other party has not come";
  b.arrive_and_drop();
  EXPECT_EQ(rounds, 3);
  EXPECT_THROW(b.arrive_and_drop(), error);
  EXPECT_THROW(b.arrive_and_wait(), error);
  EXPECT_THROW(run(arrive(b)), error);
}

TEST(barrier, more_callers_than_parties_make_rounds_of_as_many_as_there_are_parties) {
  constexpr int callers = 7;
  constexpr int times = 60; // 7 * 60 is a multiple of 3
  std::atomic<int> inside{0};
  int rounds = 0;
  barrier b(3, [&]() noexcept {
    EXPECT_EQ(++inside, 1) << "completions do not overlap";
    ++rounds;
    --inside;
  });
  std::atomic<int> left{callers * times};
  std::vector<std::jthread> threads;
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&] {
      while (left.fetch_sub(1) > 0)
        b.arrive_and_wait();
    });
  }
  threads.clear();
  EXPECT_EQ(rounds, callers * times / 3);
  EXPECT_EQ(b.waiting(), 0);
}

/// Limits that grow until one is long enough.
class growing_patience {
 public:
  explicit growing_patience(unsigned seed) : random_(seed) {}
  std::chrono::microseconds next() {
    return std::chrono::microseconds(random_() % 100 * (1U << std::min(failed_++, 16)));
  }
  void arrived() { failed_ = 0; }

 private:
  std::minstd_rand random_;
  int failed_ = 0;
};

task<> arrive_impatiently(barrier& b, std::atomic<int>& arrived, int times, unsigned seed) {
  growing_patience patience(seed);
  for (int done = 0; done < times;) {
    try {
      co_await timeout(patience.next(), arrive(b));
      patience.arrived();
      ++arrived;
      ++done;
    } catch (const timed_out&) {
    }
  }
}

TEST(barrier, rounds_stay_whole_while_parties_give_up_and_come_again) {
  constexpr int times = 150;
  std::atomic<int> arrived{0};
  int rounds = 0;
  barrier b(4, [&]() noexcept { ++rounds; });
  {
    test::loop_thread loop;
    std::vector<future<void>> coroutines;
    for (unsigned i = 0; i < 2; ++i)
      coroutines.push_back(loop->submit(arrive_impatiently, std::ref(b), std::ref(arrived), times, i + 1));
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        growing_patience patience(i + 11);
        for (int done = 0; done < times;) {
          try {
            b.arrive_and_wait(patience.next());
            patience.arrived();
            ++arrived;
            ++done;
          } catch (const timed_out&) {
          }
        }
      });
    }
    threads.clear();
    for (auto& c : coroutines)
      c.get();
  }
  EXPECT_EQ(arrived, 4 * times);
  EXPECT_EQ(rounds, times);
  EXPECT_EQ(b.waiting(), 0);
}

TEST(barrier, may_be_destroyed_by_a_party_of_its_last_round) {
  for (int round = 0; round < 300; ++round) {
    auto b = std::make_unique<barrier>(2);
    std::jthread other([raw = b.get()] { raw->arrive_and_drop(); });
    b->arrive_and_wait();
    b.reset();
  }
}

TEST(barrier_death_test, destruction_while_somebody_waits_aborts_with_a_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        test::parking_threads threads;
        auto b = std::make_unique<barrier>(2);
        std::jthread waiting = threads.start([&] { b->arrive_and_wait(); });
        threads.await_parked(1);
        b.reset();
      },
      "a barrier was destroyed while somebody waits on it");
}

TEST(barrier, lets_through_who_came_before_the_last_party_dropped_out) {
  std::atomic<bool> completing = false;
  std::atomic<bool> go_on = false;
  barrier b(1, [&]() noexcept {
    completing = true;
    while (!go_on)
      std::this_thread::yield();
  });
  const std::jthread one([&] { b.arrive_and_wait(); });
  while (!completing)
    std::this_thread::yield();
  const std::jthread more_than_parties([&] { b.arrive_and_wait(); });
  while (b.waiting() != 1)
    std::this_thread::yield();
  b.arrive_and_drop();
  go_on = true;
}

} // namespace
} // namespace fourfold
