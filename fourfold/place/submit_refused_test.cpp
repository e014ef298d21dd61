// "If submit throws, the function was not and will not be run", at every place.
#include <fourfold/base/codec.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

/// An argument that cannot be copied, and cannot be encoded, when it does not want to.
struct stubborn {
  stubborn() = default;
  explicit stubborn(bool throws) : refuses(throws) {}
  stubborn(const stubborn& other) : refuses(other.refuses) {
    if (refuses)
      throw std::domain_error("no copy");
  }
  stubborn& operator=(const stubborn&) = delete;
  ~stubborn() = default;
  bool refuses = false;
};

struct unwilling {
  int value = 0;
};
int take_unwilling(const unwilling& argument) { return argument.value; }

} // namespace
} // namespace fourfold

template <>
struct fourfold::codec<fourfold::unwilling> {
  static void encode(encoder& out, const unwilling& u) {
    if (u.value < 0)
      throw std::domain_error("not encodable after all");
    out.write(u.value);
  }
  static unwilling decode(decoder& in) { return {in.read<int>()}; }
};

namespace fourfold {
namespace {

int one() { return 1; }

TEST(submit_refused, by_an_argument_runs_nothing_in_a_thread_pool) {
  thread_pool pool({.threads = 1});
  std::atomic<int> ran = 0;
  const stubborn argument(true);
  EXPECT_THROW(pool.submit([&ran](const stubborn&) { ++ran; }, argument), std::domain_error);
  EXPECT_EQ(pool.submit(one).get(30s), 1);
  pool.shutdown();
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(pool.statistics().submitted, 1U);
}

TEST(submit_refused, by_a_codec_runs_nothing_in_a_process_pool) {
  process_pool pool({.workers = 1});
  EXPECT_THROW(pool.submit(take_unwilling, unwilling{-1}), std::domain_error);
  EXPECT_EQ(pool.submit(take_unwilling, unwilling{5}).get(30s), 5);
  EXPECT_EQ(pool.statistics().submitted, 1U);
  EXPECT_EQ(pool.statistics().finished, 1U);
}

TEST(submit_refused, by_a_closed_pool_runs_nothing_and_accepts_nothing) {
  std::atomic<int> ran = 0;
  thread_pool threads({.threads = 1});
  threads.shutdown();
  EXPECT_THROW(threads.submit([&ran] { ++ran; }), pool_closed);
  EXPECT_EQ(threads.statistics().submitted, 0U);
  process_pool processes({.workers = 1});
  processes.shutdown();
  EXPECT_THROW(processes.submit(one), pool_closed);
  EXPECT_EQ(processes.statistics().submitted, 0U);
  EXPECT_EQ(ran, 0);
}

TEST(submit_refused, while_a_pool_closes_what_was_accepted_runs_and_what_was_not_does_not) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> ran = 0;
    int accepted = 0;
    std::optional<thread_pool> pool;
    pool.emplace(thread_pool_options{.threads = 2});
    {
      const std::jthread submitter([&] {
        try {
          for (;;) {
            static_cast<void>(pool->submit([&ran] { ++ran; }));
            ++accepted;
          }
        } catch (const pool_closed&) {
        }
      });
      pool->shutdown();
    }
    EXPECT_EQ(ran, accepted);
  }
}

TEST(submit_refused, never_by_a_loop_but_a_call_that_a_loop_cannot_run_any_more_says_so) {
  std::optional<loop> place;
  place.emplace();
  std::atomic<int> ran = 0;
  auto call = place->submit([&ran] { return ++ran; });
  place.reset();
  EXPECT_THROW(call.get(30s), pool_closed);
  EXPECT_EQ(ran, 0);
}

TEST(closing, in_order_of_scopes_leaves_no_future_without_a_result) {
  std::vector<future<int>> calls;
  {
    process_pool processes({.workers = 1});
    thread_pool threads({.threads = 1}); // destroyed first: its jobs wait for the processes
    for (int i = 0; i < 20; ++i)
      calls.push_back(threads.submit([&processes] { return processes.submit(one).get(); }));
  }
  for (auto& call : calls) {
    ASSERT_TRUE(call.ready());
    EXPECT_EQ(call.get(), 1);
  }
}

} // namespace
} // namespace fourfold
