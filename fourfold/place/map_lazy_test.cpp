// map as a sequence: lazy over its input, bounded, stopped by a failure, by its consumer and by cancellation.
#include <fourfold/base/errors.hpp>
#include <fourfold/base/generator.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/place/map.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

long square(long n) { return n * n; }
long fail_at_fifty(long n) {
  if (n >= 50)
    throw std::out_of_range(std::to_string(n));
  return n;
}
long crash_at_five(long n) {
  if (n == 5)
    std::abort();
  return n;
}
double power(double base, int exponent) {
  double product = 1;
  for (int i = 0; i < exponent; ++i)
    product *= base;
  return product;
}
task<long> square_later(long n) {
  co_await yield();
  co_return n* n;
}

generator<long> count_pulled(std::size_t& pulled) {
  for (long n = 0;; ++n) {
    pulled = static_cast<std::size_t>(n) + 1;
    co_yield n;
  }
}

template <executor E>
void expect_first_squares(E& place, map_options options) {
  std::size_t pulled = 0;
  std::size_t had = 0;
  for (const long value : map(place, square, count_pulled(pulled), std::move(options))) {
    ASSERT_EQ(value, square(static_cast<long>(had)));
    if (++had == 1000)
      break;
  }
  EXPECT_EQ(had, 1000U);
}

TEST(lazy_map, takes_what_it_needs_of_an_endless_range_on_threads_and_in_processes) {
  thread_pool threads({.threads = 2});
  process_pool processes({.workers = 2});
  for (const std::size_t chunk : {0U, 1U, 7U}) {
    expect_first_squares(threads, {.chunk = chunk});
    expect_first_squares(processes, {.chunk = chunk});
  }
}

TEST(lazy_map, reads_ahead_no_further_than_its_bound) {
  thread_pool pool({.threads = 2});
  std::size_t pulled = 0;
  std::size_t had = 0;
  for (const long value : map(pool, square, count_pulled(pulled), {.chunk = 3, .calls = 2})) {
    EXPECT_GE(value, 0);
    ++had;
    EXPECT_LE(pulled, had + 3 * 2 * 2);
    if (had == 300)
      break;
  }
  EXPECT_EQ(had, 300U);
}

TEST(lazy_map, asks_a_generator_for_nothing_that_it_does_not_submit) {
  thread_pool pool({.threads = 1});
  std::size_t pulled = 0;
  auto results = map(pool, square, count_pulled(pulled), {.chunk = 1, .calls = 2});
  EXPECT_EQ(pulled, 2U);
  ASSERT_NE(results.next(30s), nullptr);
  EXPECT_LE(pulled, 4U);
}

TEST(lazy_map, gives_every_result_once_and_in_order_however_the_inputs_come) {
  thread_pool threads({.threads = 3});
  process_pool processes({.workers = 2});
  const auto expect_in_order = [](auto results) {
    long expected = 0;
    while (const long* one = results.next(30s)) {
      ASSERT_EQ(*one, square(expected));
      ++expected;
    }
    EXPECT_EQ(expected, 20'000);
    EXPECT_EQ(results.next(), nullptr);
  };
  const auto numbers = std::views::iota(0L, 20'000L);
  std::vector<long> list(20'000);
  std::iota(list.begin(), list.end(), 0L);
  expect_in_order(map(threads, square, numbers));
  expect_in_order(map(processes, square, list));
  expect_in_order(map(processes, square, std::vector<long>(list)));
  const auto even = [](long n) { return n % 2 == 0; };
  const auto half = [](long n) { return n / 2; };
  expect_in_order(
      map(threads, square,
          std::views::iota(0L, 40'000L) | std::views::filter(even) | std::views::transform(half)));
}

TEST(lazy_map, unordered_gives_results_as_they_come_with_the_index_of_their_input) {
  thread_pool pool({.threads = 2});
  event go;
  const auto wait_if_first = [&go](int n) {
    if (n == 0)
      go.wait(30s);
    return 10 * n;
  };
  std::vector<std::size_t> order;
  for (auto& [index, value] : map_unordered(pool, wait_if_first, std::vector<int>{0, 1, 2}, {.chunk = 1})) {
    EXPECT_EQ(value, static_cast<int>(10 * index));
    order.push_back(index);
    if (order.size() == 2)
      go.set();
  }
  ASSERT_EQ(order.size(), 3U);
  EXPECT_EQ(order.back(), 0U);
}

TEST(lazy_map, unordered_loses_and_doubles_nothing) {
  process_pool pool({.workers = 2});
  std::vector<bool> seen(30'000);
  for (auto& [index, value] : map_unordered(pool, square, std::views::iota(0L, 30'000L))) {
    ASSERT_EQ(value, square(static_cast<long>(index)));
    ASSERT_FALSE(seen[index]);
    seen[index] = true;
  }
  EXPECT_TRUE(std::ranges::all_of(seen, std::identity{}));
}

TEST(lazy_map, a_failure_ends_an_endless_map) {
  thread_pool threads({.threads = 2});
  process_pool processes({.workers = 2});
  const auto expect_failure = [](auto results) {
    const auto drain = [&results] {
      while (results.next(30s) != nullptr) {
      }
    };
    EXPECT_THROW(drain(), std::out_of_range);
    EXPECT_EQ(results.next(30s), nullptr);
  };
  expect_failure(map(threads, fail_at_fifty, std::views::iota(0L)));
  expect_failure(map(processes, fail_at_fifty, std::views::iota(0L)));
  expect_failure(map_unordered(threads, fail_at_fifty, std::views::iota(0L)));
}

TEST(lazy_map, of_several_failures_that_of_the_earliest_input_is_thrown) {
  thread_pool pool({.threads = 4});
  std::atomic<int> begun = 0;
  const auto fail = [&begun](int n) -> int {
    ++begun;
    while (begun < 4)
      std::this_thread::yield();
    throw std::runtime_error(std::to_string(n));
  };
  try {
    map(pool, fail, std::vector<int>{7, 8, 9, 10}, {.chunk = 1}).get(30s);
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "7");
  }
}

TEST(lazy_map, a_range_that_throws_is_the_failure_of_the_map) {
  thread_pool pool({.threads = 2});
  const auto broken = []() -> generator<long> {
    for (long n = 0; n < 100; ++n)
      co_yield n;
    throw std::domain_error("the source has failed");
  };
  EXPECT_THROW(map(pool, square, broken()).get(30s), std::domain_error);
}

TEST(lazy_map, a_worker_that_dies_is_a_failure_too) {
  process_pool pool({.workers = 2});
  EXPECT_THROW(map(pool, crash_at_five, std::views::iota(0L)).get(30s), worker_died);
}

TEST(lazy_map, waits_for_what_runs_before_the_callers_variables_go) {
  thread_pool pool({.threads = 2});
  std::atomic<int> inside = 0;
  event begun;
  const auto until_told = [&](int n) {
    ++inside;
    begun.set();
    while (!current_cancellation().cancellation_requested())
      std::this_thread::yield();
    --inside;
    return n;
  };
  {
    const auto abandoned = map(pool, until_told, std::views::iota(0));
    begun.wait(30s);
  }
  EXPECT_EQ(inside, 0);
}

TEST(lazy_map, a_wait_that_reaches_its_limit_or_is_cancelled_loses_nothing) {
  thread_pool pool({.threads = 2});
  event go;
  const auto wait_then_square = [&go](long n) {
    go.wait(30s);
    return n * n;
  };
  auto results = map(pool, wait_then_square, std::views::iota(0L, 100L));
  EXPECT_THROW(results.get(1ms), timed_out);
  EXPECT_THROW(static_cast<void>(results.next(1ms)), timed_out);
  cancellation_source source;
  source.request_cancellation();
  EXPECT_THROW(results.get(source.token()), cancelled);
  go.set();
  const std::vector<long> squares = results.get(30s);
  ASSERT_EQ(squares.size(), 100U);
  EXPECT_EQ(squares[99], 99 * 99);
}

TEST(lazy_map, a_coroutine_takes_results_one_by_one) {
  thread_pool pool({.threads = 2});
  const auto sum = [](thread_pool& place) -> task<long> {
    auto results = map(place, square, std::views::iota(0L));
    long total = 0;
    for (int i = 0; i < 100; ++i) {
      const long* one = co_await results.async_next();
      total += *one;
    }
    co_await results.async_stop();
    EXPECT_EQ(co_await results.async_next(), nullptr);
    co_return total;
  };
  EXPECT_EQ(run(sum(pool)), 328'350);
}

TEST(lazy_map, a_cancelled_coroutine_stops_it_and_waits_for_what_runs) {
  thread_pool pool({.threads = 2});
  std::atomic<int> inside = 0;
  const auto main = [&]() -> task<> {
    const auto until_told = [&inside](int n) {
      ++inside;
      while (!current_cancellation().cancellation_requested())
        std::this_thread::yield();
      --inside;
      return n;
    };
    auto results = map(pool, until_told, std::views::iota(0));
    const auto take = [&results]() -> task<> { static_cast<void>(co_await results.async_next()); };
    bool ended = false;
    try {
      co_await timeout(20ms, take());
    } catch (const timed_out&) {
      ended = true;
    }
    EXPECT_TRUE(ended);
    EXPECT_EQ(inside, 0);
  };
  run(main());
}

TEST(lazy_map, runs_as_many_coroutines_at_once_as_it_is_told) {
  int inside = 0;
  int most = 0;
  const auto main = [&]() -> task<std::vector<int>> {
    const auto visit = [&](int n) -> task<int> {
      most = std::max(most, ++inside);
      co_await sleep(1ms);
      --inside;
      co_return 2 * n;
    };
    auto results = map(loop::current(), visit, std::views::iota(0, 20), {.calls = 3});
    co_return co_await results;
  };
  const std::vector<int> doubled = run(main());
  EXPECT_EQ(most, 3);
  ASSERT_EQ(doubled.size(), 20U);
  EXPECT_EQ(doubled[19], 38);
}

TEST(lazy_map, coroutine_functions_work_in_processes_from_a_thread) {
  process_pool pool({.workers = 2});
  long expected = 0;
  for (const long value : map(pool, square_later, std::views::iota(0L, 200L), {.calls = 16}))
    EXPECT_EQ(value, square(expected++));
  EXPECT_EQ(expected, 200);
}

TEST(lazy_map, a_blocking_wait_on_the_loop_that_has_to_run_it_is_an_error) {
  const auto main = []() -> task<> {
    auto results = map(loop::current(), square, std::views::iota(0L, 3L));
    EXPECT_THROW(results.get(), wrong_thread);
    EXPECT_EQ((co_await results).size(), 3U);
  };
  run(main());
}

TEST(lazy_map, tells_of_its_progress) {
  thread_pool pool({.threads = 2});
  std::vector<std::size_t> told;
  const auto note = [&told](std::size_t done) { told.push_back(done); };
  map(pool, square, std::views::iota(0L, 1000L), {.chunk = 100, .progress = note}).get(30s);
  ASSERT_EQ(told.size(), 10U);
  EXPECT_TRUE(std::ranges::is_sorted(told));
  EXPECT_EQ(told.back(), 1000U);
}

TEST(lazy_map, unpacks_tuples_into_arguments) {
  process_pool pool({.workers = 1});
  const std::vector<std::tuple<double, int>> inputs{{2, 10}, {3, 2}};
  EXPECT_EQ(map(pool, unpacked(power), inputs).get(30s), (std::vector<double>{1024, 9}));
  const std::vector<std::pair<double, int>> pairs{{2, 3}};
  thread_pool threads({.threads = 1});
  EXPECT_EQ(map(threads, unpacked(power), pairs).get(30s), (std::vector<double>{8}));
}

TEST(lazy_map, copies_from_a_view_and_leaves_its_container_alone) {
  thread_pool pool({.threads = 1});
  const auto length = [](const std::string& text) { return text.size(); };
  std::vector<std::string> texts(3, "a text that is too long to be stored in place");
  map(pool, length, texts | std::views::take(2)).get(30s);
  EXPECT_EQ(texts[0], texts[2]);
}

TEST(lazy_map, ends_when_its_pool_stops_while_somebody_iterates) {
  std::atomic<int> had = 0;
  event some;
  thread_pool threads({.threads = 2});
  process_pool processes({.workers = 2});
  const auto iterate = [&](auto& place) {
    for ([[maybe_unused]] const long value : map(place, square, std::views::iota(0L))) {
      if (++had == 20)
        some.set();
    }
  };
  {
    const std::jthread consumer([&] { EXPECT_THROW(iterate(threads), error); });
    some.wait(30s);
    threads.stop();
  }
  had = 0;
  some.clear();
  {
    const std::jthread consumer([&] { EXPECT_THROW(iterate(processes), error); });
    some.wait(30s);
    processes.stop();
  }
}

TEST(map_chunk, gives_back_what_it_has_not_begun_when_its_time_is_over) {
  const detail::chunk_call<long (*)(long), long> call{square};
  const auto late = call({1, 2, 3, 4}, 0);
  EXPECT_EQ(late.results, (std::vector<long>{1}));
  EXPECT_EQ(late.rest, (std::vector<long>{2, 3, 4}));
  const auto whole = call({1, 2, 3, 4}, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(whole.results, (std::vector<long>{1, 4, 9, 16}));
  EXPECT_TRUE(whole.rest.empty());
}

TEST(map_chunk, what_is_given_back_keeps_its_place_in_the_order) {
  thread_pool pool({.threads = 2});
  // Short ones, so that many travel together, and among them some that take longer than a call should.
  const auto uneven = [](int n) {
    const auto end = clock::now() + (n % 1000 == 999 ? 6ms : 0ms);
    while (clock::now() < end) {
    }
    return n;
  };
  const std::vector<int> results = map(pool, uneven, std::views::iota(0, 20'000)).get(60s);
  ASSERT_EQ(results.size(), 20'000U);
  EXPECT_TRUE(std::ranges::equal(results, std::views::iota(0, 20'000)));
}

TEST(map_chunk, sizes_grow_step_by_step_and_fall_at_once) {
  detail::chunk_sizes sizes(0, 8);
  EXPECT_EQ(sizes.next(), 1U);
  sizes.measured(1, 10);
  EXPECT_EQ(sizes.next(), 8U);
  sizes.measured(8, 80);
  EXPECT_EQ(sizes.next(), 64U);
  for (int i = 0; i < 10; ++i)
    sizes.measured(sizes.next(), 10 * static_cast<std::int64_t>(sizes.next()));
  EXPECT_EQ(sizes.next(), 48U * 1024 / 8);
  sizes.measured(1, 10'000'000);
  EXPECT_EQ(sizes.next(), 1U);
}

} // namespace
} // namespace fourfold
