#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <set>
#include <vector>

namespace fourfold {
namespace {

using numbers = std::vector<int>;

task<> note(numbers& order, int number) {
  order.push_back(number);
  co_return;
}

task<> spawn_notes(numbers& order, int count) {
  for (int i = 0; i < count; ++i)
    spawn(note(order, i));
  co_await test::let_others_run();
}

numbers order_of(loop_options options, int count) {
  numbers order;
  loop l(options);
  l.run(spawn_notes(order, count));
  return order;
}

numbers rising(int count) {
  numbers all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

TEST(shuffle, of_one_seed_gives_one_order_and_runs_each_exactly_once) {
  // More than the loop runs in one turn otherwise.
  constexpr int count = 1000;
  numbers order = order_of({.shuffle_seed = 7}, count);
  EXPECT_EQ(order, order_of({.shuffle_seed = 7}, count));
  EXPECT_NE(order, rising(count));
  std::ranges::sort(order);
  EXPECT_EQ(order, rising(count));
}

TEST(shuffle, of_different_seeds_gives_different_orders) {
  std::set<numbers> orders;
  for (std::uint64_t seed = 1; seed <= 10; ++seed)
    orders.insert(order_of({.shuffle_seed = seed}, 20));
  EXPECT_GE(orders.size(), 9U);
}

TEST(shuffle, takes_its_seed_from_the_environment_and_without_one_there_is_none) {
  const test::in_order_of_readiness without("the variable is the subject");
  EXPECT_EQ(order_of({}, 100), rising(100));
  for (const char* nothing : {"", "yes"}) {
    ::setenv("FOURFOLD_SHUFFLE", nothing, 1);
    EXPECT_EQ(order_of({}, 100), rising(100));
  }
  ::setenv("FOURFOLD_SHUFFLE", "7", 1);
  const numbers order = order_of({}, 100);
  ::unsetenv("FOURFOLD_SHUFFLE");
  EXPECT_EQ(order, order_of({.shuffle_seed = 7}, 100));
}

TEST(shuffle, keeps_posted_functions_in_the_order_of_posting_and_nothing_else) {
  auto body = [](numbers& posted, numbers& spawned) -> task<> {
    for (int i = 0; i < 100; ++i) {
      loop::current().post([&posted, i] { posted.push_back(i); });
      spawn(note(spawned, i));
    }
    co_await test::let_others_run();
  };
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    numbers posted;
    numbers spawned;
    loop l({.shuffle_seed = seed});
    l.run(body(posted, spawned));
    EXPECT_EQ(posted, rising(100));
    EXPECT_NE(spawned, rising(100));
    EXPECT_EQ(spawned.size(), 100U);
  }
}

TEST(shuffle, runs_all_that_is_ready_once_before_what_becomes_ready_meanwhile) {
  auto take_turns = [](numbers& rounds) -> task<> {
    for (int round = 0; round < 5; ++round) {
      rounds.push_back(round);
      co_await yield();
    }
  };
  auto body = [&](numbers& rounds) -> task<> {
    for (int i = 0; i < 100; ++i)
      spawn(take_turns(rounds));
    co_await test::let_others_run();
  };
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    numbers rounds;
    loop l({.shuffle_seed = seed});
    l.run(body(rounds));
    EXPECT_EQ(rounds.size(), 500U);
    EXPECT_TRUE(std::ranges::is_sorted(rounds));
  }
}

} // namespace
} // namespace fourfold
