#include "soak/soak.hpp"

#include <utility>
#include <vector>

namespace soak {
namespace {

using fourfold::task;

task<int> value_after(fourfold::clock::duration wait, int value) {
  co_await fourfold::sleep(wait);
  co_return value;
}

task<ending> sleep_once(random_engine& random) {
  const auto wait = std::chrono::microseconds(below(random, 20'000));
  const auto begin = fourfold::clock::now();
  co_await fourfold::sleep(wait);
  check(fourfold::clock::now() - begin >= wait, "a sleep ended early");
  co_return ending::finished;
}

task<ending> limit_that_fires(random_engine& random) {
  int ended = 0;
  bool fired = false;
  try {
    co_await fourfold::timeout(std::chrono::microseconds(below(random, 5'000)), endless(ended));
  } catch (const fourfold::timed_out&) {
    fired = true;
  }
  check(fired && ended == 1, "a time limit did not end its work");
  co_return ending::failed;
}

task<ending> limit_that_does_not(random_engine& random) {
  const int value = static_cast<int>(below(random, 1000));
  auto work = value_after(std::chrono::microseconds(value), value);
  check(co_await fourfold::timeout(1min, std::move(work)) == value, "a result within its limit was lost");
  co_return ending::finished;
}

task<ending> nested_limits(random_engine& random) {
  const bool inner_first = below(random, 2) == 0;
  const auto outer = inner_first ? 1min : fourfold::clock::duration(2ms);
  const auto inner = inner_first ? fourfold::clock::duration(2ms) : 1min;
  bool inner_passed = false;
  bool outer_passed = false;
  int ended = 0;
  auto work = [&]() -> task<> {
    try {
      co_await fourfold::timeout(inner, endless(ended));
    } catch (const fourfold::timed_out&) {
      inner_passed = true;
    }
  };
  try {
    co_await fourfold::timeout(outer, work());
  } catch (const fourfold::timed_out&) {
    outer_passed = true;
  }
  check(ended == 1 && inner_passed == inner_first && outer_passed != inner_first, "the other limit passed");
  co_return ending::failed;
}

task<ending> moved_limit(random_engine& random) {
  const std::uint64_t times = 1 + below(random, 4);
  auto body = [times](fourfold::timeout_scope& limit) -> task<std::uint64_t> {
    for (std::uint64_t i = 0; i < times; ++i) {
      co_await fourfold::sleep(1ms);
      limit.reschedule(1min);
    }
    co_return times;
  };
  check(co_await fourfold::with_timeout(30s, body) == times, "a moved limit gave another result");
  co_return ending::finished;
}

task<ending> planned_call(random_engine& random) {
  bool called = false;
  auto planned =
      fourfold::call_later(std::chrono::microseconds(below(random, 4'000)), [&] { called = true; });
  const bool take_back = below(random, 2) == 0;
  if (take_back) {
    co_await fourfold::sleep(std::chrono::microseconds(below(random, 4'000)));
    planned.cancel(); // perhaps too late
  }
  bool taken_back = false;
  try {
    co_await planned;
  } catch (const fourfold::cancelled&) {
    taken_back = true;
  }
  check(called != taken_back && (take_back || called),
        "a planned call was both called and taken back, or neither");
  co_return taken_back ? ending::cancelled : ending::finished;
}

// Many armed at once, a part of them withdrawn before they fire.
task<ending> many(random_engine& random) {
  int ended = 0;
  int fired = 0;
  constexpr int count = 200;
  auto fire = [&fired](fourfold::clock::duration wait) -> task<> {
    co_await fourfold::sleep(wait);
    ++fired;
  };
  auto body = [&](fourfold::task_group& group) -> task<> {
    for (int i = 0; i < count; ++i) {
      group.spawn(fire(std::chrono::microseconds(below(random, 3'000))));
      group.spawn(endless(ended));
    }
    while (fired < count)
      co_await fourfold::sleep(500us);
    group.cancel();
  };
  co_await fourfold::with_task_group(body);
  check(fired == count && ended == count, "of many timers some neither fired nor were withdrawn");
  co_return ending::finished;
}

} // namespace

task<ending> timer_act(run_state&, random_engine& random) {
  switch (below(random, 7)) {
  case 0: return sleep_once(random);
  case 1: return limit_that_fires(random);
  case 2: return limit_that_does_not(random);
  case 3: return nested_limits(random);
  case 4: return moved_limit(random);
  case 5: return planned_call(random);
  default: return many(random);
  }
}

} // namespace soak
