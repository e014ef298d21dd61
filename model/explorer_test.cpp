#include <model/modelled.hpp>

#include <model/examine.hpp>

namespace interleavings {
namespace {

struct counter {
  std::atomic<int> value{0};
};

void add_one_in_two_steps(counter& c) { c.value.store(c.value.load() + 1); }
void add_one(counter& c) { c.value.fetch_add(1); }
std::string is_two(counter& c) { return c.value.now() == 2 ? "" : "an addition was lost"; }

TEST(explorer, finds_the_lost_update) {
  const exploration seen = explore_parties<counter>({add_one_in_two_steps, add_one_in_two_steps}, is_two);
  EXPECT_NE(seen.failure.find("an addition was lost"), std::string::npos) << seen.failure;
  EXPECT_NE(seen.failure.find("0:1r"), std::string::npos) << seen.failure;
}

TEST(explorer, passes_what_is_right_in_every_order) {
  const exploration seen = explore_parties<counter>({add_one, add_one}, is_two);
  EXPECT_EQ(seen.failure, "");
  EXPECT_EQ(seen.orders, 2U);
}

struct two_counters {
  std::atomic<int> first{0};
  std::atomic<int> second{0};
};

TEST(explorer, makes_one_run_of_orders_that_differ_only_in_steps_that_commute) {
  const exploration seen = explore_parties<two_counters>({[](two_counters& c) {
                                                            c.first.fetch_add(1);
                                                            c.first.fetch_add(1);
                                                          },
                                                          [](two_counters& c) {
                                                            c.second.fetch_add(1);
                                                            c.second.fetch_add(1);
                                                          }});
  EXPECT_EQ(seen.orders, 1U);
}

TEST(explorer, tries_every_order_of_steps_that_do_not_commute) {
  auto thrice = [](counter& c) {
    for (int i = 0; i < 3; ++i)
      c.value.fetch_add(1);
  };
  const exploration seen = explore_parties<counter>({thrice, thrice});
  EXPECT_EQ(seen.orders, 20U); // 6 over 3
}

TEST(explorer, sees_both_ends_of_store_buffering_but_not_the_one_that_needs_weak_memory) {
  struct shared : two_counters {
    int seen_by_first = -1;
    int seen_by_second = -1;
  };
  std::set<std::pair<int, int>> outcomes;
  const exploration seen = explore_parties<shared>({[](shared& s) {
                                                      s.first.store(1);
                                                      s.seen_by_first = s.second.load();
                                                    },
                                                    [](shared& s) {
                                                      s.second.store(1);
                                                      s.seen_by_second = s.first.load();
                                                    }},
                                                   [&](shared& s) {
                                                     outcomes.emplace(s.seen_by_first, s.seen_by_second);
                                                     return std::string();
                                                   });
  EXPECT_EQ(outcomes, (std::set<std::pair<int, int>>{{0, 1}, {1, 0}, {1, 1}}));
  EXPECT_EQ(seen.orders, 3U);
}

struct sleepers {
  std::atomic<std::uint32_t> word{0};
};

// Looks, and then sleeps without looking again.
void sleeps_carelessly(sleepers& s) {
  if (s.word.load() == 0)
    sleep_on(&s.word, [] { return true; }, false);
}
void wakes(sleepers& s) {
  s.word.store(1);
  wake(&s.word, 1);
}

TEST(explorer_death_test, finds_the_lost_wake_up) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(static_cast<void>(explore_parties<sleepers>({sleeps_carelessly, wakes})),
              testing::ExitedWithCode(1), "a deadlock");
}

TEST(explorer_death_test, finds_the_run_that_does_not_end) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto for_ever = [](counter& c) {
    while (c.value.load() == 0) {
    }
  };
  EXPECT_EXIT(static_cast<void>(explore_parties<counter>({for_ever, [](counter&) {}})),
              testing::ExitedWithCode(1), "without an end");
}

TEST(explorer, lets_a_sleep_with_a_limit_end_at_any_moment) {
  struct shared : sleepers {
    bool was_woken = false;
  };
  int woken = 0;
  int ran_out = 0;
  const exploration seen =
      explore_parties<shared>({[](shared& s) {
                                 while (s.word.load() == 0) {
                                   if (!sleep_on(&s.word, [&] { return s.word.now() == 0; }, true))
                                     return;
                                 }
                                 s.was_woken = true;
                               },
                               [](shared& s) { wakes(s); }},
                              [&](shared& s) {
                                ++(s.was_woken ? woken : ran_out);
                                return std::string();
                              });
  EXPECT_EQ(seen.failure, "");
  EXPECT_GT(woken, 0);
  EXPECT_GT(ran_out, 0);
}

} // namespace
} // namespace interleavings
