#include "soak/soak.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

namespace soak {
namespace {

using fourfold::task;

struct expected_failure : std::runtime_error {
  expected_failure() : std::runtime_error("expected") {}
};

task<int> value_after_turns(std::uint64_t turns, int value) {
  for (std::uint64_t i = 0; i < turns; ++i)
    co_await fourfold::yield();
  co_return value;
}
task<int> failure_after(std::uint64_t turns) {
  co_await value_after_turns(turns, 0);
  throw expected_failure();
}

task<ending> cancelled_group(random_engine& random) {
  const int children = static_cast<int>(1 + below(random, 30));
  int ended = 0;
  auto body = [&](fourfold::task_group& group) -> task<> {
    for (int i = 0; i < children; ++i)
      group.spawn(endless(ended));
    co_await value_after_turns(1 + below(random, 5), 0);
    group.cancel();
  };
  co_await fourfold::with_task_group(body);
  check(ended == children, "a cancelled group left a child");
  co_return ending::cancelled;
}

task<ending> failing_group(random_engine& random) {
  int ended = 0;
  auto body = [&](fourfold::task_group& group) -> task<> {
    for (int i = 0; i < 5; ++i)
      group.spawn(endless(ended));
    group.spawn(failure_after(below(random, 10)));
    co_return;
  };
  bool failed = false;
  try {
    co_await fourfold::with_task_group(body);
  } catch (const expected_failure&) {
    failed = true;
  }
  check(failed && ended == 5, "a child's failure did not end its group");
  co_return ending::failed;
}

task<ending> failing_gather(random_engine& random) {
  int ended = 0;
  std::vector<task<int>> works;
  for (int i = 0; i < 5; ++i)
    works.push_back(endless(ended));
  works.insert(works.begin() + static_cast<std::ptrdiff_t>(below(random, 6)),
               failure_after(1 + below(random, 10)));
  bool failed = false;
  try {
    co_await fourfold::gather(std::move(works));
  } catch (const expected_failure&) {
    failed = true;
  }
  check(failed && ended == 5, "a failure in gather did not end the others");
  co_return ending::failed;
}

task<ending> collected(random_engine& random) {
  std::vector<task<int>> works;
  std::vector<bool> fails;
  for (int i = 0; i < 20; ++i) {
    fails.push_back(below(random, 3) == 0);
    works.push_back(fails.back() ? failure_after(below(random, 5)) : value_after_turns(below(random, 5), i));
  }
  const auto outcomes = co_await fourfold::collect_all(std::move(works));
  for (std::size_t i = 0; i < outcomes.size(); ++i)
    check(outcomes[i].has_value() != fails[i] && (fails[i] || *outcomes[i] == static_cast<int>(i)),
          "collect_all gave another outcome");
  co_return ending::finished;
}

task<ending> raced(random_engine& random) {
  int ended = 0;
  const auto winner = below(random, 5);
  std::vector<task<int>> runners;
  for (std::uint64_t i = 0; i < 5; ++i)
    runners.push_back(i == winner ? value_after_turns(1 + below(random, 5), 77) : endless(ended));
  const auto won = co_await fourfold::race(std::move(runners));
  check(won.index == winner && won.value == 77 && ended == 4, "another one won the race, or a loser went on");
  co_return ending::finished;
}

task<ending> completed_in_order(random_engine& random) {
  constexpr int count = 10;
  const int wanted = static_cast<int>(1 + below(random, count));
  std::vector<task<int>> works;
  for (int i = 0; i < count; ++i)
    works.push_back(value_after_turns(below(random, 20), i));
  auto body = [wanted](fourfold::completions<int>& ended) -> task<int> {
    int had = 0;
    while (had < wanted) {
      auto one = co_await ended.next();
      check(one && one->get() == static_cast<int>(one->index()), "as_completed gave another's result");
      ++had;
    }
    co_return had;
  };
  check(co_await fourfold::as_completed(std::move(works), body) == wanted, "as_completed lost one");
  co_return wanted == count ? ending::finished : ending::cancelled;
}

task<ending> shielded_clean_up(random_engine& random) {
  int ended = 0;
  bool cleaned = false;
  auto clean_up = [&cleaned]() -> task<> {
    co_await fourfold::sleep(1ms);
    cleaned = true;
  };
  auto work = [&]() -> task<> {
    bool interrupted = false;
    try {
      co_await endless(ended);
    } catch (const fourfold::cancelled&) {
      interrupted = true;
    }
    if (interrupted)
      co_await fourfold::shield(clean_up());
    co_await fourfold::yield();
  };
  auto running = fourfold::spawn(work());
  co_await value_after_turns(1 + below(random, 4), 0);
  check(running.cancel(), "a task that runs could not be cancelled");
  bool cancelled = false;
  try {
    co_await running;
  } catch (const fourfold::cancelled&) {
    cancelled = true;
  }
  check(cancelled && cleaned && ended == 1, "clean-up under a shield was not waited for");
  co_return ending::cancelled;
}

task<ending> waited(random_engine& random) {
  int ended = 0;
  std::vector<fourfold::future<int>> calls;
  for (int i = 0; i < 4; ++i)
    calls.push_back(fourfold::spawn(endless(ended)));
  calls.push_back(fourfold::spawn(value_after_turns(below(random, 6), 5)));
  const auto ready = co_await fourfold::wait(calls, fourfold::return_when::first_completed);
  check(ready.size() == 1 && ready[0] == 4 && calls[4].get() == 5, "wait returned for another one");
  calls.pop_back();
  for (auto& call : calls)
    call.cancel();
  co_await fourfold::wait(calls);
  for (auto& call : calls)
    check(fourfold::is_cancelled(call.exception()), "a cancelled task did not end so");
  check(ended == 4, "a cancelled task went on");
  co_return ending::cancelled;
}

fourfold::generator<int> numbers(int end) {
  for (int i = 0; i < end; ++i)
    co_yield i;
}

fourfold::async_generator<int> slow_numbers(int end, int& ended) {
  struct count_end {
    int& ended;
    ~count_end() { ++ended; }
  } counter{ended};
  for (int i = 0; i < end; ++i) {
    if (i % 4 == 3)
      co_await fourfold::yield();
    co_yield i;
  }
}

} // namespace

task<ending> cancellation_act(run_state&, random_engine& random) {
  switch (below(random, 8)) {
  case 0: return cancelled_group(random);
  case 1: return failing_group(random);
  case 2: return failing_gather(random);
  case 3: return collected(random);
  case 4: return raced(random);
  case 5: return completed_in_order(random);
  case 6: return shielded_clean_up(random);
  default: return waited(random);
  }
}

task<ending> generator_act(run_state&, random_engine& random) {
  const int length = static_cast<int>(below(random, 50));
  int sum = 0;
  for (int n : numbers(length))
    sum += n;
  check(sum == length * (length - 1) / 2, "a generator gave other numbers");
  int ended = 0;
  const int wanted = static_cast<int>(below(random, 60)); // more than there are, or not
  {
    auto source = slow_numbers(length, ended);
    int had = 0;
    while (had < wanted) {
      const int* next = co_await source.next();
      if (next == nullptr)
        break;
      check(*next == had, "an async_generator gave another number");
      ++had;
    }
    check(had == std::min(wanted, length), "an async_generator had another length");
    if (below(random, 2) == 0) {
      co_await std::move(source).close();
      check(wanted == 0 || ended == 1, "a closed generator kept its locals");
    }
  }
  check(wanted == 0 || ended == 1, "a generator's locals were not destroyed once");
  co_await fourfold::yield();
  co_return wanted <= length ? ending::cancelled : ending::finished;
}

} // namespace soak
