#include <fourfold/sync/event.hpp>
#include <fourfold/thread/parallel_for.hpp>
#include <fourfold/thread/parallel_invoke.hpp>
#include <fourfold/thread/parallel_reduce.hpp>
#include <fourfold/thread/parallel_sort.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fourfold::event;
using fourfold::thread_pool;

long fibonacci(thread_pool& pool, int n) {
  if (n < 2)
    return n;
  long a = 0, b = 0;
  fourfold::parallel_invoke(pool, [&] { a = fibonacci(pool, n - 1); }, [&] { b = fibonacci(pool, n - 2); });
  return a + b;
}

class fork_join : public testing::TestWithParam<unsigned> {
 protected:
  thread_pool pool{{.threads = GetParam()}};
};

TEST_P(fork_join, recursion_gives_the_right_result_from_outside_and_inside) {
  EXPECT_EQ(fibonacci(pool, 18), 2584);
  EXPECT_EQ(pool.submit(fibonacci, std::ref(pool), 18).get(60s), 2584);
}

TEST_P(fork_join, loop_calls_each_index_once) {
  for (const std::size_t grain : {0UL, 1UL, 7UL}) {
    std::vector<std::atomic<int>> times(5000);
    fourfold::parallel_for(pool, 0, 5000, [&](int i) { ++times[static_cast<std::size_t>(i)]; },
                           {.grain = grain});
    for (const auto& count : times)
      ASSERT_EQ(count, 1);
  }
}

TEST_P(fork_join, reduction_keeps_the_order) {
  std::string expected;
  for (int i = 0; i < 500; ++i)
    expected += std::to_string(i) + ",";
  const auto text = fourfold::parallel_reduce(pool, 0, 500, std::string(), std::plus(),
                                              [](int i) { return std::to_string(i) + ","; }, {.grain = 1});
  EXPECT_EQ(text, expected);
  EXPECT_EQ(fourfold::parallel_reduce(pool, 1, 1001, 0L, std::plus(), [](long i) { return i * i; }),
            333833500);
  EXPECT_EQ(fourfold::parallel_reduce(pool, 5, 5, 7L, std::plus(), [](long i) { return i; }), 7);
}

TEST_P(fork_join, sort_sorts_whatever_the_order_was) {
  std::mt19937 random(1);
  std::vector<int> numbers(50'000);
  const auto check = [&] {
    auto expected = numbers;
    std::sort(expected.begin(), expected.end());
    fourfold::parallel_sort(pool, numbers);
    EXPECT_EQ(numbers, expected);
  };
  for (int& n : numbers)
    n = static_cast<int>(random());
  check();
  check(); // sorted
  std::reverse(numbers.begin(), numbers.end());
  check();
  for (int& n : numbers)
    n = static_cast<int>(random() % 3);
  check();
  std::vector<std::unique_ptr<int>> boxes;
  for (int i = 0; i < 5000; ++i)
    boxes.push_back(std::make_unique<int>(static_cast<int>(random())));
  fourfold::parallel_sort(pool, boxes, [](const auto& a, const auto& b) { return *a < *b; });
  EXPECT_TRUE(
      std::is_sorted(boxes.begin(), boxes.end(), [](const auto& a, const auto& b) { return *a < *b; }));
}

TEST_P(fork_join, nests) {
  std::atomic<int> ran = 0;
  fourfold::parallel_for(pool, 0, 20, [&](int) { fourfold::parallel_for(pool, 0, 50, [&](int) { ++ran; }); });
  EXPECT_EQ(ran, 1000);
}

TEST_P(fork_join, first_exception_is_thrown_and_the_rest_left_out) {
  std::atomic<int> ran = 0;
  EXPECT_THROW(fourfold::parallel_for(pool, 0, 1'000'000,
                                      [&](int i) {
                                        if (i == 3)
                                          throw std::out_of_range("3");
                                        ++ran;
                                      },
                                      {.grain = 1}),
               std::out_of_range);
  EXPECT_LT(ran, 999'999);
  EXPECT_THROW(fourfold::parallel_invoke(
                   pool, [&] { EXPECT_EQ(fibonacci(pool, 10), 55); }, [] { throw std::range_error("x"); }),
               std::range_error);
  EXPECT_EQ(fibonacci(pool, 10), 55) << "nothing of it is left";
}

TEST_P(fork_join, reduction_does_not_combine_what_a_failed_part_came_to) {
  using number = std::shared_ptr<int>;
  std::atomic<int> empty_ones = 0;
  const auto add = [&](const number& a, const number& b) {
    empty_ones += !a || !b;
    return std::make_shared<int>((a ? *a : 0) + (b ? *b : 0));
  };
  const auto fail_early = [](int i) {
    if (i == 3)
      throw std::out_of_range("3");
    return std::make_shared<int>(i);
  };
  EXPECT_THROW(static_cast<void>(fourfold::parallel_reduce(pool, 0, 1000, std::make_shared<int>(0), add,
                                                           fail_early, {.grain = 10})),
               std::out_of_range);
  EXPECT_EQ(empty_ones, 0);
}

struct throws_at_a_copy {
  static inline std::atomic<int> copies_left = 0;
  int value = 0;
  explicit throws_at_a_copy(int v) : value(v) {}
  throws_at_a_copy(const throws_at_a_copy& other) : value(other.value) {
    if (--copies_left == 0)
      throw std::out_of_range("copy");
  }
  throws_at_a_copy& operator=(const throws_at_a_copy&) = default;
};

TEST_P(fork_join, reduction_throws_what_a_copy_throws) {
  const auto add = [](const throws_at_a_copy& a, const throws_at_a_copy& b) {
    return throws_at_a_copy(a.value + b.value);
  };
  const auto sum = [&] {
    return fourfold::parallel_reduce(pool, 0, 100, throws_at_a_copy(0), add,
                                     [](int i) { return throws_at_a_copy(i); }, {.grain = 50});
  };
  for (int n = 1; n < 40; ++n) {
    throws_at_a_copy::copies_left = n;
    try {
      EXPECT_EQ(sum().value, 4950);
    } catch (const std::out_of_range&) {
    }
  }
}

TEST_P(fork_join, a_thread_that_waits_for_its_part_runs_no_part_of_another_computation) {
  std::atomic<bool> ended = false;
  std::atomic<int> strange = 0;
  const auto spin = [](std::chrono::microseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
    }
  };
  std::thread waiting([&] {
    for (int round = 0; round < 2000; ++round) {
      std::atomic<bool> taken = false;
      const auto first = [&] {
        taken = true;
        spin(8us);
      };
      const auto second = [&] {
        const auto end = std::chrono::steady_clock::now() + 50us;
        while (!taken && std::chrono::steady_clock::now() < end) {
        }
      };
      fourfold::parallel_invoke(pool, first, second);
    }
    ended = true;
  });
  const auto waiting_id = waiting.get_id();
  while (!ended) {
    const auto element = [&](int) {
      strange += std::this_thread::get_id() == waiting_id;
      spin(3us);
    };
    fourfold::parallel_for(pool, 0, 64, element, {.grain = 1});
  }
  waiting.join();
  EXPECT_EQ(strange, 0);
}

TEST_P(fork_join, limits_end_it_and_what_is_complete_counts) {
  const auto wait_a_little = [](int) { std::this_thread::sleep_for(1ms); };
  EXPECT_THROW(fourfold::parallel_for(pool, 0, 1'000'000, wait_a_little, {.limit = 20ms, .grain = 1}),
               fourfold::timed_out);
  fourfold::cancellation_source source;
  EXPECT_THROW(fourfold::parallel_for(pool, 0, 1'000'000, [&](int) { source.request_cancellation(); },
                                      {.limit = source.token(), .grain = 1}),
               fourfold::cancelled);
  EXPECT_NO_THROW(fourfold::parallel_for(pool, 0, 0, wait_a_little, {.limit = 0ms}));
}

TEST_P(fork_join, cancelling_the_call_around_it_ends_nested_ones) {
  event started;
  auto running = pool.submit([&] {
    fourfold::parallel_for(pool, 0, 1'000'000'000,
                           [&](int) {
                             started.set();
                             fourfold::parallel_for(pool, 0, 10, [](int) { std::this_thread::yield(); },
                                                    {.grain = 1});
                           },
                           {.grain = 1});
  });
  started.wait(30s);
  running.cancel();
  EXPECT_THROW(running.get(60s), fourfold::cancelled);
}

TEST_P(fork_join, parts_may_wait_for_calls_of_the_pool) {
  std::atomic<int> sum = 0;
  fourfold::parallel_for(pool, 0, 50, [&](int i) { sum += pool.submit([i] { return i; }).get(60s); },
                         {.grain = 1});
  EXPECT_EQ(sum, 1225);
}

TEST_P(fork_join, many_callers_from_outside_at_once_are_served) {
  std::vector<std::thread> callers;
  std::atomic<int> ran = 0;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&] {
      for (int k = 0; k < 20; ++k)
        fourfold::parallel_for(pool, 0, 100, [&](int) { ++ran; }, {.grain = 1});
    });
  for (auto& caller : callers)
    caller.join();
  EXPECT_EQ(ran, 8000);
  EXPECT_EQ(pool.submit([] { return 1; }).get(30s), 1);
}

INSTANTIATE_TEST_SUITE_P(threads, fork_join, testing::Values(1U, 2U, 4U));

TEST(parallel_for, is_refused_by_a_pool_that_has_shut_down) {
  thread_pool pool({.threads = 1});
  pool.shutdown();
  EXPECT_THROW(fourfold::parallel_for(pool, 0, 1, [](int) {}), fourfold::pool_closed);
}

TEST(parallel_invoke, lets_another_thread_take_a_part) {
  thread_pool pool({.threads = 2});
  event met;
  // The last is called first, and in no way that the pool knows of waits for the other.
  fourfold::parallel_invoke(
      pool, [&] { met.set(); },
      [&] {
        while (!met.is_set())
          std::this_thread::yield();
      });
}

} // namespace
