#include <fourfold/loop/detail/timer_queue.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

/// Notes the order in which timers fire.
struct noted_waiter final : waiter {
  noted_waiter(int n, std::vector<int>& to) : number(n), fired(to) {}
  void wake() noexcept override {
    fired.push_back(number);
    if (on_wake)
      on_wake();
  }
  int number;
  std::vector<int>& fired;
  std::function<void()> on_wake;
};

/// A queue and waiters for it, numbered from 0.
class timer_queue : public testing::Test {
 public:
  waiter& operator[](int number) { return noted(number); }
  noted_waiter& noted(int number) {
    while (waiters_.size() <= static_cast<std::size_t>(number))
      waiters_.emplace_back(static_cast<int>(waiters_.size()), fired);
    return waiters_[static_cast<std::size_t>(number)];
  }
  void arm(int number, clock::time_point deadline) { timers.arm((*this)[number], deadline); }
  /// What fires at `now`.
  std::vector<int> fire(clock::time_point now) {
    timers.fire(now);
    return std::exchange(fired, {});
  }

  detail::timer_queue timers;
  std::vector<int> fired;
  const clock::time_point start{1h};

 private:
  std::deque<noted_waiter> waiters_;
};

TEST_F(timer_queue, fires_those_that_are_due_by_deadline_and_then_by_arming) {
  arm(0, start + 2s);
  arm(1, start + 1s);
  arm(2, start + 2s);
  arm(3, start + 1s);
  arm(4, start + 3s);
  arm(5, start + 2s);
  EXPECT_EQ(timers.next(), start + 1s);
  EXPECT_EQ(fire(start), (std::vector<int>{}));
  EXPECT_EQ(fire(start + 2s), (std::vector{1, 3, 0, 2, 5}));
  EXPECT_EQ(timers.next(), start + 3s);
  EXPECT_TRUE(timers.withdraw((*this)[4]));
  EXPECT_TRUE(timers.empty());
  EXPECT_EQ(timers.next(), never);
}

TEST_F(timer_queue, is_never_early_and_exact_to_the_nanosecond) {
  fire(start);
  int number = 0;
  for (auto delay = 1ns; delay < 10'000h; delay = delay * 3 + 1ns) {
    const auto deadline = start + delay;
    arm(number, deadline);
    EXPECT_EQ(timers.next(), deadline);
    EXPECT_EQ(fire(deadline - 1ns), (std::vector<int>{})) << delay;
    EXPECT_EQ(timers.next(), deadline);
    EXPECT_EQ(fire(deadline), (std::vector{number})) << delay;
    ++number;
  }
}

TEST_F(timer_queue, keeps_the_order_of_arming_among_equal_ones_armed_at_different_times) {
  const auto deadline = start + 1h;
  int number = 0;
  std::vector<int> expected;
  for (auto now = start; now < deadline; now += (deadline - now) / 3 + 1ns) {
    EXPECT_EQ(fire(now), (std::vector<int>{}));
    expected.push_back(number);
    arm(number++, deadline);
  }
  EXPECT_EQ(fire(deadline), expected);
}

TEST_F(timer_queue, fires_deadlines_that_had_passed_in_their_order) {
  fire(start);
  arm(0, start - 1s);
  arm(1, start);
  arm(2, start - 1h);
  arm(3, clock::time_point::min());
  arm(4, start - 1s);
  EXPECT_EQ(timers.next(), clock::time_point::min());
  EXPECT_TRUE(timers.withdraw((*this)[2]));
  EXPECT_EQ(fire(start), (std::vector{3, 0, 4, 1}));
  EXPECT_TRUE(timers.empty());
}

TEST_F(timer_queue, keeps_those_that_are_never_due) {
  arm(0, never);
  arm(1, start);
  EXPECT_EQ(timers.next(), start);
  EXPECT_EQ(fire(start + 100h), (std::vector{1}));
  EXPECT_EQ(timers.next(), never);
  EXPECT_EQ(fire(never - 1ns), (std::vector<int>{}));
  EXPECT_FALSE(timers.empty());
  EXPECT_TRUE(timers.withdraw((*this)[0]));
  EXPECT_TRUE(timers.empty());
}

TEST_F(timer_queue, takes_a_jump_of_the_clock_over_centuries_at_once) {
  constexpr auto year = 24h * 365;
  fire(start);
  const std::chrono::nanoseconds delays[] = {1ns, 1us, 1ms, 1s, 1h, year, 10 * year, 100 * year};
  std::vector<int> expected;
  for (const auto delay : delays) {
    expected.push_back(static_cast<int>(expected.size()));
    arm(expected.back(), start + delay);
  }
  EXPECT_EQ(fire(start + 200 * year), expected);
  arm(8, start + 200 * year + 1ns);
  EXPECT_EQ(timers.next(), start + 200 * year + 1ns);
  EXPECT_EQ(fire(start + 200 * year), (std::vector<int>{}));
  EXPECT_EQ(fire(start + 200 * year + 1ns), (std::vector{8}));
}

TEST_F(timer_queue, fired_at_an_earlier_time_than_before_wakes_what_is_due_then) {
  fire(start);
  arm(0, start - 2s);
  arm(1, start - 1s);
  arm(2, start + 1s);
  EXPECT_EQ(fire(start - 2s), (std::vector{0}));
  EXPECT_EQ(fire(start), (std::vector{1}));
  EXPECT_EQ(fire(start + 1s), (std::vector{2}));
}

TEST_F(timer_queue, does_not_wake_what_a_woken_waiter_withdraws) {
  for (int i = 0; i < 8; ++i)
    arm(i, start + i * 1us);
  arm(8, start);
  int withdrawn = 0;
  noted(0).on_wake = [&] {
    EXPECT_FALSE(timers.withdraw((*this)[0])); // its own has fired
    for (const int i : {1, 3, 7, 8})
      withdrawn += timers.withdraw((*this)[i]) ? 1 : 0;
  };
  noted(2).on_wake = [&] { withdrawn += timers.withdraw((*this)[4]) ? 1 : 0; };
  EXPECT_EQ(fire(start + 1s), (std::vector{0, 2, 5, 6}));
  EXPECT_EQ(withdrawn, 5);
  EXPECT_TRUE(timers.empty());
}

TEST_F(timer_queue, wakes_what_a_woken_waiter_arms_when_its_turn_comes) {
  arm(0, start);
  arm(1, start + 1us);
  arm(2, start + 1ms);
  noted(1).on_wake = [&] {
    arm(3, start + 2s);          // not due
    arm(4, start + 1ms);         // behind its equal
    arm(5, start + 500us);       // between
    arm(6, start - 1s);          // at once
    arm(7, start + 1us + 1ns);   // next
    arm(0, start + 1ms + 100us); // again
  };
  EXPECT_EQ(fire(start + 1s), (std::vector{0, 1, 6, 7, 5, 2, 4, 0}));
  EXPECT_EQ(timers.next(), start + 2s);
  EXPECT_EQ(fire(start + 2s), (std::vector{3}));
}

TEST_F(timer_queue, wakes_one_that_arms_itself_again_once_a_period) {
  arm(0, start);
  auto next = start;
  noted(0).on_wake = [&] { arm(0, next += 10ms); };
  EXPECT_EQ(fire(start + 1s), (std::vector<int>(101, 0)));
  EXPECT_EQ(timers.next(), start + 1s + 10ms);
  EXPECT_TRUE(timers.withdraw((*this)[0]));
}

TEST_F(timer_queue, hundred_thousand_timers_of_which_half_are_withdrawn_fire_in_order) {
  constexpr int count = 100'000;
  std::vector<clock::time_point> deadlines;
  std::minstd_rand random(1);
  for (int i = 0; i < count; ++i) {
    deadlines.emplace_back(std::chrono::milliseconds(random() % 10'000)); // ten of each, about
    arm(i, deadlines.back());
  }
  std::vector<int> expected(count);
  for (int i = 0; i < count; ++i)
    expected[static_cast<std::size_t>(i)] = i;
  std::shuffle(expected.begin(), expected.end(), random);
  for (int i = 0; i < count / 2; ++i) {
    EXPECT_TRUE(timers.withdraw((*this)[expected.back()]));
    expected.pop_back();
  }
  std::sort(expected.begin(), expected.end(), [&](int a, int b) {
    const auto first = deadlines[static_cast<std::size_t>(a)];
    const auto second = deadlines[static_cast<std::size_t>(b)];
    return first != second ? first < second : a < b;
  });
  for (auto now = 0ms; now <= 10'000ms; now += 100ms)
    timers.fire(clock::time_point(now));
  EXPECT_EQ(fired, expected);
  EXPECT_TRUE(timers.empty());
}

TEST_F(timer_queue, withdrawal_says_truthfully_whether_it_came_in_time) {
  EXPECT_FALSE(timers.withdraw((*this)[0])) << "not armed yet";
  arm(0, start);
  arm(1, start + 1s);
  arm(2, start + 2s);
  EXPECT_EQ(fire(start), (std::vector{0}));
  EXPECT_FALSE(timers.withdraw((*this)[0])) << "has fired";
  EXPECT_TRUE(timers.withdraw((*this)[1]));
  EXPECT_FALSE(timers.withdraw((*this)[1])) << "is withdrawn";
  arm(1, start + 1s);
  EXPECT_EQ(fire(start + 2s), (std::vector{1, 2}));
}

TEST_F(timer_queue, next_deadline_is_exact_for_as_long_as_nothing_is_withdrawn) {
  std::minstd_rand random(2);
  fire(start);
  std::multimap<clock::time_point, int> model;
  for (int i = 0; i < 5'000; ++i) {
    const auto deadline = start + std::chrono::microseconds(random());
    arm(i, deadline);
    model.emplace(deadline, i);
    EXPECT_EQ(timers.next(), model.begin()->first);
  }
  while (!model.empty()) {
    const auto first = model.begin();
    ASSERT_EQ(timers.next(), first->first);
    ASSERT_EQ(fire(first->first), (std::vector{first->second}));
    model.erase(first);
  }
  EXPECT_EQ(timers.next(), never);
}

TEST_F(timer_queue, next_deadline_is_early_once_at_most_after_withdrawals_in_its_slot) {
  fire(start);
  // Nine that share a slot, as they lie within a second and an hour ahead.
  for (int i = 0; i < 9; ++i)
    arm(i, start + 1h + i * 1ms);
  for (int i = 0; i < 7; ++i)
    EXPECT_TRUE(timers.withdraw((*this)[i]));
  int turns = 0;
  for (auto now = start; fired.empty(); ++turns) {
    ASSERT_GT(timers.next(), now) << "a loop would spin";
    ASSERT_LE(timers.next(), start + 1h + 7ms);
    now = timers.next();
    timers.fire(now);
  }
  EXPECT_LE(turns, 2);
  EXPECT_EQ(fired, (std::vector{7}));
  EXPECT_EQ(timers.next(), start + 1h + 8ms);
}

/// A queue beside a model of it, taken through random steps.
class compared_queue {
 public:
  compared_queue(std::uint64_t seed, unsigned widest) : random_(seed), widest_(widest) {
    for (int i = 0; i < 300; ++i)
      waiters_.emplace_back(i, fired_);
    deadlines_.resize(waiters_.size());
  }

  void step() {
    switch (random_() % 16) {
    case 0:
    case 1: advance(now_ + distance()); break;
    case 2: sleep_once(); break;
    case 3:
    case 4:
    case 5:
    case 6: withdraw_one(); break;
    default: arm_one(); break;
    }
    EXPECT_EQ(timers_.empty(), model_.empty());
    EXPECT_LE(timers_.next(), earliest());
  }

  void drain() {
    while (!model_.empty() && !testing::Test::HasFailure())
      model_.begin()->first == never ? advance(never) : sleep_once();
    EXPECT_TRUE(timers_.empty());
  }

  [[nodiscard]] int sleeps() const { return sleeps_; }
  [[nodiscard]] int early() const { return early_; }

 private:
  using model = std::multimap<clock::time_point, int>; // among equal keys it keeps the order of insertion

  /// From nanoseconds to years, every magnitude as likely.
  clock::duration distance() {
    const unsigned bits = static_cast<unsigned>(random_() % widest_);
    return clock::duration(static_cast<clock::rep>(random_() % (std::uint64_t{2} << bits)));
  }

  clock::time_point some_deadline() {
    switch (random_() % 16) {
    case 0: return now_ - distance();
    case 1: return now_;
    case 2: return random_() % 8 == 0 ? never : clock::time_point::min();
    case 3:
    case 4: return model_.empty() ? now_ : model_.rbegin()->first; // equal to another
    case 5: return earliest();
    default: return now_ + distance();
    }
  }

  clock::time_point earliest() const { return model_.empty() ? never : model_.begin()->first; }

  void arm_one() {
    const auto number = static_cast<std::size_t>(random_() % waiters_.size());
    if (waiters_[number].linked())
      return;
    deadlines_[number] = some_deadline();
    timers_.arm(waiters_[number], deadlines_[number]);
    model_.emplace(deadlines_[number], static_cast<int>(number));
  }

  void withdraw_one() {
    const auto number = static_cast<std::size_t>(random_() % waiters_.size());
    const auto [from, to] = model_.equal_range(deadlines_[number]);
    const auto found = std::find_if(
        from, to, [&](const model::value_type& entry) { return entry.second == static_cast<int>(number); });
    const bool armed = found != to;
    EXPECT_EQ(timers_.withdraw(waiters_[number]), armed);
    if (armed)
      model_.erase(found);
  }

  void advance(clock::time_point now) {
    now_ = std::max(now_, now);
    timers_.fire(now_);
    std::vector<int> expected;
    for (auto due = model_.begin(); due != model_.end() && due->first <= now_; due = model_.erase(due))
      expected.push_back(due->second);
    EXPECT_EQ(std::exchange(fired_, {}), expected);
    if (!model_.empty()) {
      EXPECT_GT(timers_.next(), now_) << "a loop would spin";
    }
  }

  /// What a loop does that has nothing else to do.
  void sleep_once() {
    const auto due = earliest();
    if (due == never)
      return;
    ++sleeps_;
    for (;;) {
      const auto until = timers_.next();
      advance(until);
      if (now_ >= due || testing::Test::HasFailure())
        return;
      ++early_;
    }
  }

  detail::timer_queue timers_;
  std::vector<int> fired_;
  std::deque<noted_waiter> waiters_;
  std::vector<clock::time_point> deadlines_;
  model model_;
  clock::time_point now_{1h};
  std::mt19937_64 random_;
  unsigned widest_;
  int sleeps_ = 0;
  int early_ = 0;
};

/// The widest distance of a deadline, in bits of nanoseconds.
class timer_queue_beside_a_model : public testing::TestWithParam<unsigned> {};

TEST_P(timer_queue_beside_a_model, does_the_same_at_every_step) {
  int sleeps = 0;
  int early = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    compared_queue queue(seed, GetParam());
    for (int i = 0; i < 3'000 && !HasFailure(); ++i)
      queue.step();
    queue.drain();
    sleeps += queue.sleeps();
    early += queue.early();
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(sleeps, 1'000);
  EXPECT_LT(early, sleeps / 4);
}

INSTANTIATE_TEST_SUITE_P(distances, timer_queue_beside_a_model, testing::Values(3U, 10U, 20U, 34U, 56U));

} // namespace
} // namespace fourfold
