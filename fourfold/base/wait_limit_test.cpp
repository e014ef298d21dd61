#include <fourfold/base/wait_limit.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <limits>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

TEST(clock, deadline_of_a_duration_lies_that_far_ahead) {
  const auto before = clock::now();
  const auto deadline = deadline_after(10s);
  EXPECT_GE(deadline, before + 10s);
  EXPECT_LE(deadline, clock::now() + 10s);
}

TEST(clock, deadline_of_a_duration_beyond_the_clock_is_never) {
  EXPECT_EQ(deadline_after(std::chrono::hours::max()), never);
  EXPECT_EQ(deadline_after(clock::duration::max()), never);
  EXPECT_EQ(deadline_after(std::chrono::years::max()), never);
  EXPECT_EQ(deadline_after(std::chrono::duration<double>(1e300)), never);
  EXPECT_EQ(deadline_after(std::chrono::duration<double>(std::numeric_limits<double>::infinity())), never);
}

TEST(clock, deadline_of_a_long_duration_that_fits_does_not_overflow) {
  for (const auto short_of_the_end : {0ns, 1ns, 999ns, 1000000ns, 1000000000ns}) {
    const auto longest = never - clock::now() - short_of_the_end;
    EXPECT_GT(deadline_after(longest), clock::now() + std::chrono::years(100));
  }
}

TEST(clock, deadline_of_a_negative_duration_is_over_and_does_not_overflow) {
  for (const auto deadline : {deadline_after(-1s), deadline_after(std::chrono::hours::min()),
                              deadline_after(0s), deadline_after(std::chrono::duration<double>(-1e300))}) {
    EXPECT_LE(deadline, clock::now());
    EXPECT_GT(deadline, clock::now() - 1h);
  }
}

TEST(clock, deadline_of_a_duration_that_is_not_a_number_is_over) {
  for (const auto deadline :
       {deadline_after(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())),
        deadline_after(std::chrono::duration<float>(-std::numeric_limits<float>::quiet_NaN()))}) {
    EXPECT_LE(deadline, clock::now());
    EXPECT_GT(deadline, clock::now() - 1h);
  }
}

TEST(clock, deadline_rounds_up_so_that_it_is_never_early) {
  using picoseconds = std::chrono::duration<std::int64_t, std::pico>;
  const auto before = clock::now();
  EXPECT_GT(deadline_after(picoseconds(1)), before);
}

wait_limit converted(const wait_limit& limit) { return limit; }

TEST(wait_limit, default_is_for_ever) {
  EXPECT_EQ(converted({}).deadline, never);
  EXPECT_FALSE(converted({}).token.can_be_cancelled());
}

TEST(wait_limit, is_made_from_a_duration_a_time_point_a_token_or_both) {
  cancellation_source source;
  const auto now = clock::now();

  EXPECT_GE(converted(1h).deadline, now + 1h);
  EXPECT_FALSE(converted(1h).token.can_be_cancelled());
  EXPECT_EQ(converted(std::chrono::hours::max()).deadline, never);

  EXPECT_EQ(converted(now + 1s).deadline, now + 1s);

  EXPECT_EQ(converted(source.token()).deadline, never);
  EXPECT_TRUE(converted(source.token()).token.can_be_cancelled());

  EXPECT_LT(converted({1h, source.token()}).deadline, never);
  EXPECT_TRUE(converted({1h, source.token()}).token.can_be_cancelled());
  EXPECT_EQ(converted({now, source.token()}).deadline, now);
}

} // namespace
} // namespace fourfold
