#include <fourfold/base/cancellation.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/base/lost_error.hpp>
#include <fourfold/base/sanitizers.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/thread/parallel_invoke.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fourfold::event;
using fourfold::future;
using fourfold::thread_pool;

TEST(thread_pool_shutdown, finishes_everything_submitted) {
  thread_pool pool({.threads = 2});
  std::atomic<int> ran = 0;
  for (int i = 0; i < 500; ++i)
    static_cast<void>(pool.submit([&] { ++ran; }));
  pool.shutdown();
  EXPECT_EQ(ran, 500);
}

TEST(thread_pool_shutdown, finishes_what_jobs_submit_meanwhile) {
  std::atomic<int> ran = 0;
  {
    thread_pool pool({.threads = 2});
    const auto tree = [&](auto& self, int levels) -> void {
      ++ran;
      if (levels == 0)
        return;
      for (int i = 0; i < 2; ++i)
        static_cast<void>(pool.submit([&self, levels] { self(self, levels - 1); }));
    };
    static_cast<void>(pool.submit([&] { tree(tree, 9); }));
    pool.shutdown();
    EXPECT_EQ(ran, 1023);
  }
}

TEST(thread_pool_shutdown, refuses_calls_from_outside_and_destroys_them_unrun) {
  thread_pool pool({.threads = 1});
  pool.shutdown();
  auto argument = std::make_shared<int>(1);
  bool ran = false;
  EXPECT_THROW(static_cast<void>(pool.submit([&ran, argument] { ran = true; })), fourfold::pool_closed);
  EXPECT_FALSE(ran);
  EXPECT_EQ(argument.use_count(), 1);
  EXPECT_EQ(pool.statistics().submitted, 0U);
}

TEST(thread_pool_shutdown, may_be_asked_for_twice_and_from_two_threads) {
  thread_pool pool({.threads = 2});
  event release;
  auto running = pool.submit([&] { release.wait(); });
  std::thread other([&] { pool.shutdown(); });
  release.set();
  pool.shutdown();
  other.join();
  pool.stop();
  running.get();
}

TEST(thread_pool_shutdown, gives_up_at_its_limit_and_can_be_asked_for_again) {
  event may_end;
  thread_pool pool({.threads = 1});
  auto result = pool.submit([&] { may_end.wait(60s); });
  EXPECT_THROW(pool.shutdown(fourfold::pending::finish, 10ms), fourfold::timed_out);
  EXPECT_THROW(pool.stop(10ms), fourfold::timed_out);
  fourfold::cancellation_source given_up;
  given_up.request_cancellation();
  EXPECT_THROW(pool.shutdown(fourfold::pending::finish, given_up.token()), fourfold::cancelled);
  EXPECT_THROW(static_cast<void>(pool.submit([] {})), fourfold::pool_closed);
  EXPECT_FALSE(result.ready());
  may_end.set();
  pool.shutdown(fourfold::pending::finish, 60s);
  EXPECT_NO_THROW(result.get());
}

TEST(thread_pool_shutdown, is_refused_on_a_thread_of_the_pool) {
  thread_pool pool({.threads = 1});
  EXPECT_THROW(pool.submit([&] { pool.shutdown(); }).get(), fourfold::error);
  EXPECT_EQ(pool.submit([] { return 1; }).get(), 1);
}

TEST(thread_pool_stop, cancels_what_is_queued_and_waits_for_what_runs) {
  thread_pool pool({.threads = 1, .max_spare_threads = 0});
  event started, release;
  auto running = pool.submit([&] {
    started.set();
    release.wait();
    return fourfold::current_cancellation().cancellation_requested();
  });
  started.wait();
  std::vector<future<void>> queued;
  std::atomic<int> ran = 0;
  for (int i = 0; i < 100; ++i)
    queued.push_back(pool.submit([&] { ++ran; }));
  std::thread stopping([&] { pool.stop(); });
  for (auto& one : queued)
    EXPECT_THROW(one.get(), fourfold::cancelled) << "while the other still runs";
  release.set();
  stopping.join();
  EXPECT_FALSE(running.get()) << "what runs is not disturbed";
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(pool.statistics().cancelled, 100U);
}

TEST(thread_pool_stop, refuses_what_jobs_submit_afterwards) {
  thread_pool pool({.threads = 1});
  event started, release;
  auto running = pool.submit([&] {
    started.set();
    release.wait();
    static_cast<void>(pool.submit([] {}));
  });
  started.wait();
  auto queued = pool.submit([] {});
  std::thread stopping([&] { pool.stop(); });
  // The queued call may have been given a stand-in for the blocked thread; either way, stop() has begun once
  // submit refuses.
  for (;;) {
    try {
      static_cast<void>(pool.submit([] {}));
    } catch (const fourfold::pool_closed&) {
      break;
    }
    std::this_thread::yield();
  }
  release.set();
  EXPECT_THROW(running.get(), fourfold::pool_closed);
  stopping.join();
}

TEST(thread_pool_destructor, finishes_everything_submitted) {
  std::atomic<int> ran = 0;
  {
    thread_pool pool({.threads = 2});
    for (int i = 0; i < 100; ++i)
      static_cast<void>(pool.submit([&] { ++ran; }));
  }
  EXPECT_EQ(ran, 100);
}

TEST(thread_pool_destructor, cancels_what_is_queued_when_an_exception_unwinds) {
  std::vector<future<void>> queued;
  event started, release;
  std::thread releaser;
  try {
    thread_pool pool({.threads = 1, .max_spare_threads = 0});
    static_cast<void>(pool.submit([&] {
      started.set();
      release.wait();
    }));
    started.wait();
    for (int i = 0; i < 10; ++i)
      queued.push_back(pool.submit([] {}));
    // Lets the running call end once the queued ones have been cancelled, and no sooner.
    releaser = std::thread([&] {
      for (auto& one : queued)
        EXPECT_THROW(one.get(), fourfold::cancelled);
      release.set();
    });
    throw std::runtime_error("unwinding");
  } catch (const std::runtime_error&) {
  }
  releaser.join();
}

TEST(thread_pool_destructor, finishes_normally_in_a_handler_and_in_a_destructor_that_unwinding_runs) {
  std::atomic<int> ran = 0;
  struct cleanup {
    std::atomic<int>& ran;
    ~cleanup() {
      thread_pool pool({.threads = 1});
      for (int i = 0; i < 10; ++i)
        static_cast<void>(pool.submit([this] { ++ran; }));
    }
  };
  try {
    const cleanup at_exit{ran};
    throw std::runtime_error("unwinding");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(ran, 10);
}

TEST(thread_pool_destructor, leaves_a_thread_that_waits_for_a_future_its_result) {
  std::optional<thread_pool> pool(std::in_place, fourfold::thread_pool_options{.threads = 1});
  event started, release;
  auto result = pool->submit([&] {
    started.set();
    release.wait();
    return 42;
  });
  int got = 0;
  std::thread waiting([&] { got = result.get(); });
  started.wait();
  release.set();
  pool.reset();
  waiting.join();
  EXPECT_EQ(got, 42);
}

TEST(thread_pool_destructor, lets_futures_live_on) {
  future<int> kept;
  {
    thread_pool pool({.threads = 1});
    kept = pool.submit([] { return 7; });
  }
  EXPECT_TRUE(kept.ready());
  EXPECT_FALSE(kept.cancel());
  EXPECT_EQ(kept.get(), 7);
}

TEST(thread_pool_destructor_death, on_a_thread_of_the_pool_is_misuse) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        auto pool = std::make_unique<thread_pool>(fourfold::thread_pool_options{.threads = 1});
        thread_pool& same = *pool;
        same.submit([&pool] { pool.reset(); }).get();
      },
      "destroyed by one of its own jobs");
}

TEST(thread_pool_shutdown, ends_though_a_thread_from_outside_had_a_part_on_offer_when_it_began) {
  for (int round = 0; round < 20; ++round) {
    thread_pool pool({.threads = 1});
    std::atomic<bool> inside = false;
    std::jthread closer([&] {
      while (!inside)
        std::this_thread::yield();
      EXPECT_NO_THROW(pool.shutdown(fourfold::pending::finish, 30s));
    });
    const auto until_it_is_closed = [&] {
      inside = true;
      try {
        for (;;)
          static_cast<void>(pool.submit([] {}));
      } catch (const fourfold::pool_closed&) {
      }
    };
    fourfold::parallel_invoke(pool, [] {}, until_it_is_closed);
  }
}

TEST(thread_pool_shutdown, does_not_start_threads_without_end_whose_initialiser_fails) {
  static std::atomic<int> failures;
  failures = 0;
  const auto before = fourfold::set_lost_error_handler(
      [](const std::exception_ptr&, std::string_view) noexcept { ++failures; });
  {
    std::atomic<int> calls = 0;
    thread_pool pool({.threads = 1, .initialise = [&] {
                        if (++calls > 1)
                          throw std::runtime_error("no second thread");
                      }});
    event started;
    event go;
    auto blocked = pool.submit([&] {
      started.set();
      go.wait();
    });
    started.wait();
    auto queued = pool.submit([] {});
    EXPECT_THROW(pool.shutdown(fourfold::pending::finish, 50ms), fourfold::timed_out);
    go.set();
    queued.get();
  }
  fourfold::set_lost_error_handler(before);
  EXPECT_GE(failures, 1);
  EXPECT_LE(failures, 10);
}

TEST(thread_pool_start, without_any_thread_throws_and_with_some_goes_on) {
  if (fourfold::under_thread_sanitizer || fourfold::under_address_sanitizer)
    GTEST_SKIP() << "the sanitizer itself needs the address space that this test takes away";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto limited = [](rlim_t megabytes, unsigned threads) {
    // A thread needs 8 MiB of address space for its stack, and its allocator another 64 to 128 MiB if it can
    // have it.
    const rlimit stack{8 << 20, RLIM_INFINITY};
    setrlimit(RLIMIT_STACK, &stack);
    const rlimit space{megabytes << 20, megabytes << 20};
    setrlimit(RLIMIT_AS, &space);
    try {
      thread_pool pool({.threads = threads});
      if (pool.size() == 0 || pool.size() >= threads)
        std::_Exit(3);
      event set_later;
      auto waiting = pool.submit([] { return 1; });
      if (waiting.get() != 1)
        std::_Exit(4);
      pool.shutdown();
      std::_Exit(0);
    } catch (const std::system_error&) {
      std::_Exit(1);
    } catch (...) {
      std::_Exit(2);
    }
  };
  EXPECT_EXIT(limited(12, 4), testing::ExitedWithCode(1), "");
  EXPECT_EXIT(limited(200, 500), testing::ExitedWithCode(0), "");
}

} // namespace
