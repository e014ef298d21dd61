#include <fourfold/base/cpu_count.hpp>

#include <gtest/gtest.h>
#include <sched.h>

#include <optional>
#include <thread>

namespace {

using fourfold::detail::cpus_of_cfs_quota;
using fourfold::detail::cpus_of_cpu_max;

TEST(cpu_count, is_at_least_one) { EXPECT_GE(fourfold::cpu_count(), 1U); }

TEST(cpu_count, honours_the_affinity_of_the_calling_thread) {
  unsigned counted = 0;
  std::thread([&] {
    cpu_set_t all;
    ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    int first = 0;
    while (!CPU_ISSET(first, &all))
      ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    counted = fourfold::cpu_count();
  }).join();
  EXPECT_EQ(counted, 1U);
}

TEST(cpu_max, is_rounded_up) {
  EXPECT_EQ(cpus_of_cpu_max("100000 100000\n"), 1U);
  EXPECT_EQ(cpus_of_cpu_max("150000 100000\n"), 2U);
  EXPECT_EQ(cpus_of_cpu_max("400000 100000\n"), 4U);
  EXPECT_EQ(cpus_of_cpu_max("1000 100000\n"), 1U);
  EXPECT_EQ(cpus_of_cpu_max("25000 10000"), 3U);
}

TEST(cpu_max, has_a_period_of_a_tenth_of_a_second_unless_it_says_otherwise) {
  EXPECT_EQ(cpus_of_cpu_max("200000"), 2U);
}

TEST(cpu_max, sets_no_limit_when_it_says_max_or_makes_no_sense) {
  for (const char* text : {"max 100000\n", "max", "", "\n", "0 100000", "100000 0", "-1 100000", "1e5 100000",
                           "100000 100000 7", "99999999999999999999 100000", "one two"}) {
    EXPECT_EQ(cpus_of_cpu_max(text), std::nullopt) << text;
  }
}

TEST(cfs_quota, of_version_1_is_rounded_up) {
  EXPECT_EQ(cpus_of_cfs_quota("150000\n", "100000\n"), 2U);
  EXPECT_EQ(cpus_of_cfs_quota("50000\n", "100000\n"), 1U);
}

TEST(cfs_quota, of_minus_one_sets_no_limit) {
  EXPECT_EQ(cpus_of_cfs_quota("-1\n", "100000\n"), std::nullopt);
  EXPECT_EQ(cpus_of_cfs_quota("", ""), std::nullopt);
}

} // namespace
