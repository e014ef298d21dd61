#include "soak/soak.hpp"

#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace soak {
namespace {

using fourfold::task;

// What threads and coroutines use together.
struct shared {
  explicit shared(run_state& s) : state(s), home(fourfold::loop::current()) {}

  run_state& state;
  fourfold::loop& home;
  fourfold::thread_pool pool{{.threads = 2}};
  fourfold::queue<std::uint64_t> to_loop{16};
  fourfold::queue<std::uint64_t> to_threads{16};
  std::atomic<std::uint64_t> put_sum{0}; // relaxed, as the tallies
  std::atomic<std::uint64_t> got_sum{0};
  fourfold::semaphore permits{2, 2};
  std::atomic<int> holders{0};
  fourfold::mutex lock;
  std::uint64_t locked = 0; // guarded by lock
  std::atomic<std::uint64_t> times_locked{0};
  std::uint64_t posted_ran = 0; // the loop's
  fourfold::semaphore threads_ended{0};
};

std::uint64_t twice(std::uint64_t n) { return 2 * n; }
task<std::uint64_t> twice_later(std::chrono::microseconds wait, std::uint64_t n) {
  co_await fourfold::sleep(wait);
  co_return 2 * n;
}

void post_some(shared& s, random_engine& random) {
  const std::uint64_t count = 1 + below(random, 50);
  s.state.counts.posts.begin(count);
  for (std::uint64_t i = 0; i < count; ++i)
    s.home.post([&s] {
      ++s.posted_ran;
      s.state.counts.posts.end(ending::finished);
    });
}

ending submit_and_wait(shared& s, random_engine& random) {
  const std::uint64_t n = below(random, 1000);
  check(s.home.submit(twice, n).get() == 2 * n, "a call on the loop gave another result");
  return ending::finished;
}

ending submit_and_cancel(shared& s, random_engine& random) {
  const std::uint64_t n = below(random, 1000);
  auto call = s.home.submit(twice_later, std::chrono::microseconds(below(random, 400)), n);
  if (below(random, 2) == 0)
    std::this_thread::sleep_for(std::chrono::microseconds(below(random, 400)));
  call.cancel();
  try {
    check(call.get() == 2 * n, "a call on the loop gave another result");
    return ending::finished;
  } catch (const fourfold::cancelled&) {
    return ending::cancelled;
  }
}

ending submit_with_limit(shared& s, random_engine& random) {
  auto call = s.home.submit(twice_later, 1500us, std::uint64_t{21});
  std::optional<std::uint64_t> result;
  try {
    result = call.get(std::chrono::microseconds(below(random, 3'000)));
  } catch (const fourfold::timed_out&) {
  }
  const bool in_time = result.has_value();
  check((in_time ? *result : call.get()) == 42, "a call was lost with a wait that timed out");
  return in_time ? ending::finished : ending::failed;
}

void count_put(shared& s, std::uint64_t item) { s.put_sum.fetch_add(item, std::memory_order_relaxed); }
void count_got(shared& s, std::uint64_t item) { s.got_sum.fetch_add(item, std::memory_order_relaxed); }

ending hand_over(shared& s, random_engine& random) {
  const auto limit = std::chrono::microseconds(below(random, 2'000));
  try {
    switch (below(random, 4)) {
    case 0: {
      const std::uint64_t item = below(random, 1000);
      s.to_loop.put(item, limit);
      count_put(s, item);
      break;
    }
    case 1: count_got(s, s.to_threads.get(limit)); break;
    case 2:
      s.permits.acquire(limit);
      check(s.holders.fetch_add(1) < 2, "more held a semaphore than it has permits");
      s.holders.fetch_sub(1);
      s.permits.release();
      break;
    default: {
      s.lock.lock(limit);
      const std::scoped_lock guard(std::adopt_lock, s.lock);
      ++s.locked;
      s.times_locked.fetch_add(1, std::memory_order_relaxed);
    }
    }
    return ending::finished;
  } catch (const fourfold::timed_out&) {
    return ending::failed;
  }
}

// A loop of its own, made, used and ended on a thread of the pool.
ending short_loop(shared& s) {
  auto run = [] { return fourfold::run(twice_later(200us, 8), {.handle_interrupt = false}); };
  check(s.pool.submit(run).get() == 16, "a loop in a pool gave another result");
  return ending::finished;
}

void thread_main(shared& s, std::uint64_t seed) {
  random_engine random(seed);
  auto& counts = s.state.counts;
  const auto counted = [](tally& t, auto&& one) {
    t.begin();
    t.end(one());
  };
  while (!s.state.stopping.load(std::memory_order_relaxed)) {
    switch (below(random, 8)) {
    case 0: post_some(s, random); break;
    case 1: counted(counts.submits, [&] { return submit_and_wait(s, random); }); break;
    case 2: counted(counts.submits, [&] { return submit_and_cancel(s, random); }); break;
    case 3: counted(counts.submits, [&] { return submit_with_limit(s, random); }); break;
    case 4: counted(counts.pool_calls, [&] { return short_loop(s); }); break;
    default: counted(counts.hand_overs, [&] { return hand_over(s, random); });
    }
  }
  s.home.submit([] {}).get(); // behind all that this thread has posted
  s.threads_ended.release();
}

task<> take_from_queue(shared& s) {
  while (auto item = co_await s.to_loop.async_next())
    count_got(s, *item);
}

task<> put_with_limit(shared& s, std::uint64_t item) {
  co_await s.to_threads.async_put(item);
  count_put(s, item);
}

task<> lock_for_a_while(shared& s) {
  const auto guard = co_await s.lock.async_scoped_lock();
  const std::uint64_t before = ++s.locked;
  s.times_locked.fetch_add(1, std::memory_order_relaxed);
  co_await fourfold::yield();
  check(s.locked == before, "somebody was inside of a locked mutex");
}

task<> hold_permit(shared& s) {
  co_await s.permits.async_acquire();
  check(s.holders.fetch_add(1) < 2, "more held a semaphore than it has permits");
  co_await fourfold::shield(fourfold::yield());
  s.holders.fetch_sub(1);
  s.permits.release();
}

task<> coroutine_hand_overs(shared& s, std::uint64_t seed) {
  random_engine random(seed);
  while (!s.state.stopping.load(std::memory_order_relaxed)) {
    tally& counted = s.state.counts.hand_overs;
    counted.begin();
    const auto limit = std::chrono::microseconds(below(random, 2'000));
    const std::uint64_t which = below(random, 3);
    auto work = which == 0   ? put_with_limit(s, below(random, 1000))
                : which == 1 ? lock_for_a_while(s)
                             : hold_permit(s);
    auto how = ending::finished;
    try {
      co_await fourfold::timeout(limit, std::move(work));
    } catch (const fourfold::timed_out&) {
      how = ending::failed;
    }
    counted.end(how);
    co_await fourfold::yield();
  }
}

task<> coroutine_pool_calls(shared& s, std::uint64_t seed) {
  random_engine random(seed);
  while (!s.state.stopping.load(std::memory_order_relaxed)) {
    tally& counted = s.state.counts.pool_calls;
    std::vector<fourfold::future<std::uint64_t>> calls;
    for (std::uint64_t i = 0; i < 20; ++i)
      calls.push_back(s.pool.submit(twice, i));
    counted.begin(calls.size());
    for (std::uint64_t i = below(random, 20); i > 0; --i)
      calls[below(random, calls.size())].cancel();
    for (std::uint64_t i = 0; i < calls.size(); ++i) {
      auto how = ending::finished;
      try {
        check(co_await calls[i] == 2 * i, "a call in a pool gave another result");
      } catch (const fourfold::cancelled&) {
        how = ending::cancelled;
      }
      counted.end(how);
    }
    co_await fourfold::sleep(1ms);
  }
}

} // namespace

task<> cross_threads(run_state& state, std::uint64_t seed) {
  random_engine random(seed);
  shared s(state);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back(thread_main, std::ref(s), random());
  auto taking = fourfold::spawn(take_from_queue(s));
  auto both = fourfold::gather(coroutine_hand_overs(s, random()), coroutine_hand_overs(s, random()),
                               coroutine_pool_calls(s, random()));
  co_await std::move(both);
  for (std::size_t i = 0; i < threads.size(); ++i)
    co_await s.threads_ended.async_acquire();
  threads.clear();
  s.to_loop.close();
  co_await taking;
  while (auto item = s.to_threads.try_get())
    count_got(s, *item);
  check(s.put_sum == s.got_sum, "the sum of what was got is not the sum of what was put");
  check(s.locked == s.times_locked, "a mutex let two in at once");
  check(s.posted_ran == state.counts.posts.started, "a posted function did not run");
}

} // namespace soak
