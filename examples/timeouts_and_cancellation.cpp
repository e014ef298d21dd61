// Time limits and cancellation: of a thread's wait, of a coroutine, of a call in a pool, and how to clean up.
#include <fourfold/fourfold.hpp>

#include <cstdio>
#include <functional>

using namespace std::chrono_literals;

namespace {

int failures = 0;

void expect(bool right, const char* sentence) {
  std::printf("%s: %s\n", right ? "yes" : "NO", sentence);
  failures += right ? 0 : 1;
}

// A blocking wait takes a limit: a duration, a time point, a cancellation token, or a time and a token.
void a_thread_waits() {
  fourfold::queue<int> empty;
  try {
    empty.get(20ms);
  } catch (const fourfold::timed_out&) {
    expect(true, "a blocking get() ended at its limit");
  }
}

bool cleaned_up = false;

fourfold::task<> clean_up() {
  co_await fourfold::sleep(5ms);
  cleaned_up = true;
}

fourfold::task<> work() {
  bool cancelled = false;
  try {
    co_await fourfold::sleep(1h);
  } catch (const fourfold::cancelled&) {
    cancelled = true; // no co_await inside of a handler: the language forbids it
  }
  if (cancelled)
    co_await fourfold::shield(clean_up()); // cancellation does not enter a shield
  co_await fourfold::sleep(1h); // throws at once: cancellation is a state, and it was swallowed in vain
}

fourfold::task<> a_coroutine_waits() {
  bool timed_out = false;
  try {
    co_await fourfold::timeout(20ms, work());
  } catch (const fourfold::timed_out&) {
    timed_out = true;
  }
  expect(timed_out, "timeout() ended the work, although it tried to go on");
  expect(cleaned_up, "and waited for its clean-up");
}

int compute_until_told(fourfold::event& begun) {
  begun.set();
  const fourfold::cancellation_token told = fourfold::current_cancellation();
  int rounds = 0;
  while (!told.cancellation_requested())
    ++rounds;
  return rounds;
}

void a_call_is_cancelled() {
  fourfold::thread_pool pool({.threads = 1});
  fourfold::event begun;
  auto running = pool.submit(compute_until_told, std::ref(begun));
  auto queued = pool.submit(compute_until_told, std::ref(begun));
  begun.wait();
  expect(queued.cancel(), "a call that has not begun is taken out");
  expect(running.cancel(), "one that runs is told");
  running.get();
  bool cancelled = false;
  try {
    queued.get();
  } catch (const fourfold::cancelled&) {
    cancelled = true;
  }
  expect(cancelled, "and its future says so");
}

} // namespace

int main() {
  a_thread_waits();
  fourfold::run(a_coroutine_waits());
  a_call_is_cancelled();
  return failures;
}
