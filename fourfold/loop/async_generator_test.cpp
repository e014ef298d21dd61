#include <fourfold/base/errors.hpp>
#include <fourfold/loop/async_generator.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/sync/queue.hpp>

#include <gmock/gmock.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using strings = std::vector<std::string>;

/// Notes its own end.
struct note_end {
  note_end(strings& list, std::string own_name) : to(list), name(std::move(own_name)) {}
  ~note_end() { to.push_back(name); }
  note_end(const note_end&) = delete;
  note_end& operator=(const note_end&) = delete;

  strings& to;
  std::string name;
};

template <class T>
task<std::vector<std::remove_cvref_t<T>>> list(async_generator<T> g) {
  std::vector<std::remove_cvref_t<T>> all;
  while (auto* each = co_await g.next())
    all.push_back(std::move(*each));
  EXPECT_EQ(co_await g.next(), nullptr) << "the end is still the end";
  co_return all;
}

/// Suspends before every second element.
async_generator<int> range(int from, int to) {
  for (int i = from; i < to; ++i) {
    if (i % 2 != 0)
      co_await yield();
    co_yield i;
  }
}

static_assert(!std::is_copy_constructible_v<async_generator<int>>);
static_assert(std::is_nothrow_move_constructible_v<async_generator<int>>);

TEST(async_generator, yields_in_order_and_ends) {
  EXPECT_THAT(run(list(range(0, 5))), ElementsAre(0, 1, 2, 3, 4));
}

TEST(async_generator, may_yield_nothing) { EXPECT_THAT(run(list(range(0, 0))), ElementsAre()); }

TEST(async_generator, runs_only_while_its_next_element_is_awaited) {
  strings steps;
  auto generate = [](strings& to) -> async_generator<int> {
    to.emplace_back("begun");
    co_yield 1;
    co_await test::let_others_run();
    to.emplace_back("resumed");
    co_yield 2;
    to.emplace_back("ended");
  };
  auto consume = [](strings& to, auto& make) -> task<> {
    async_generator<int> g = make(to);
    co_await test::let_others_run();
    EXPECT_THAT(to, ElementsAre());
    int* first = co_await g.next();
    co_await test::let_others_run();
    EXPECT_EQ(*first, 1);
    EXPECT_THAT(to, ElementsAre("begun"));
    EXPECT_EQ(*co_await g.next(), 2);
    EXPECT_THAT(to, ElementsAre("begun", "resumed"));
    EXPECT_EQ(co_await g.next(), nullptr);
    EXPECT_THAT(to, ElementsAre("begun", "resumed", "ended"));
  };
  run(consume(steps, generate));
}

TEST(async_generator, is_part_of_the_chain_of_its_consumer) {
  auto generate = []() -> async_generator<coroutine_context*> {
    co_yield coroutine_context::current();
    co_await yield();
    co_yield coroutine_context::current();
  };
  auto consume = [](auto& make) -> task<> {
    async_generator<coroutine_context*> g = make();
    EXPECT_EQ(*co_await g.next(), coroutine_context::current());
    EXPECT_EQ(*co_await g.next(), coroutine_context::current());
  };
  run(consume(generate));
}

TEST(async_generator, can_go_on_in_another_task_and_on_another_loop) {
  auto take = [](async_generator<int>& g) -> task<int> {
    const int* got = co_await g.next();
    co_return *got;
  };
  auto two = [](async_generator<int>& g, auto& one) -> task<int> {
    const int a = co_await spawn(one(g));
    const int b = co_await spawn(one(g));
    co_return a * 10 + b;
  };
  async_generator<int> g = range(1, 5);
  EXPECT_EQ(run(two(g, take)), 12);
  EXPECT_EQ(run(two(g, take)), 34);
}

TEST(async_generator, never_started_runs_nothing_and_frees_its_arguments) {
  bool ran = false;
  auto generate = [](std::shared_ptr<int> argument, bool& flag) -> async_generator<int> {
    flag = true;
    co_yield *argument;
  };
  const auto argument = std::make_shared<int>(1);
  {
    const async_generator<int> g = generate(argument, ran);
    EXPECT_EQ(argument.use_count(), 2);
  }
  EXPECT_EQ(argument.use_count(), 1);
  run(generate(argument, ran).close());
  EXPECT_EQ(argument.use_count(), 1);
  EXPECT_FALSE(ran);
}

TEST(async_generator, is_movable_also_between_two_elements) {
  auto body = []() -> task<> {
    async_generator<int> a = range(0, 3);
    EXPECT_EQ(*co_await a.next(), 0);
    async_generator<int> b = std::move(a);
    EXPECT_FALSE(a.valid()); // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(*co_await b.next(), 1);
    EXPECT_THROW(static_cast<void>(a.next()), error);
    EXPECT_THROW(static_cast<void>(std::move(a).close()), error);
    a = std::move(b);
    EXPECT_EQ(*co_await a.next(), 2);
    EXPECT_EQ(co_await a.next(), nullptr);
  };
  run(body());
}

TEST(async_generator, yields_references_without_copying) {
  struct immovable {
    explicit immovable(int n) : number(n) {}
    immovable(const immovable&) = delete;
    immovable& operator=(const immovable&) = delete;
    int number;
  };
  auto generate = [](immovable& a) -> async_generator<immovable&> { co_yield a; };
  auto constant = [](immovable& a) -> async_generator<const immovable&> { co_yield a; };
  auto consume = [](auto& make, auto& make_constant) -> task<> {
    immovable one(1);
    async_generator<immovable&> g = make(one);
    immovable* got = co_await g.next();
    EXPECT_EQ(got, &one);
    async_generator<const immovable&> h = make_constant(one);
    const immovable* same = co_await h.next();
    EXPECT_EQ(same, &one);
  };
  run(consume(generate, constant));
}

TEST(async_generator, yields_what_can_only_be_moved) {
  auto generate = []() -> async_generator<std::unique_ptr<int>> {
    co_yield std::make_unique<int>(1);
    auto named = std::make_unique<int>(2);
    co_await yield();
    co_yield std::move(named);
    EXPECT_EQ(named, nullptr) << "the consumer took it"; // NOLINT(bugprone-use-after-move)
  };
  const std::vector<std::unique_ptr<int>> taken = run(list(generate()));
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(*taken[0], 1);
  EXPECT_EQ(*taken[1], 2);
}

TEST(async_generator, consumer_that_moves_an_element_away_does_not_reach_the_variable_behind_it) {
  auto generate = []() -> async_generator<std::string> {
    std::string text = "long enough that it is not stored in place";
    co_yield text;
    co_yield text;
    co_yield "converted";
  };
  EXPECT_THAT(run(list(generate())), ElementsAre("long enough that it is not stored in place",
                                                 "long enough that it is not stored in place", "converted"));
}

TEST(async_generator, exception_before_the_first_element_comes_out_of_next_and_is_the_end) {
  auto generate = [](bool suspend) -> async_generator<int> {
    if (suspend)
      co_await yield();
    throw std::out_of_range("at once");
    co_yield 1;
  };
  auto consume = [](auto& make, bool suspend) -> task<> {
    async_generator<int> g = make(suspend);
    try {
      co_await g.next();
      ADD_FAILURE();
    } catch (const std::out_of_range&) {
    }
    EXPECT_EQ(co_await g.next(), nullptr);
  };
  run(consume(generate, false));
  run(consume(generate, true));
}

TEST(async_generator, exception_between_elements_comes_out_of_next_after_its_locals_have_gone) {
  strings ends;
  auto generate = [](strings& to) -> async_generator<int> {
    const note_end local(to, "local");
    co_yield 1;
    co_await yield();
    throw std::out_of_range("in between");
  };
  auto consume = [](strings& to, auto& make) -> task<> {
    async_generator<int> g = make(to);
    EXPECT_EQ(*co_await g.next(), 1);
    try {
      co_await g.next();
      ADD_FAILURE();
    } catch (const std::out_of_range&) {
      EXPECT_THAT(to, ElementsAre("local"));
    }
    EXPECT_EQ(co_await g.next(), nullptr);
  };
  run(consume(ends, generate));
}

TEST(async_generator, exception_of_what_it_awaits_can_be_caught_inside_of_it) {
  auto fail = []() -> task<> {
    co_await yield();
    throw std::out_of_range("inside");
  };
  auto generate = [](auto& failing) -> async_generator<int> {
    for (int i = 0; i < 3; ++i) {
      try {
        co_await failing();
      } catch (const std::out_of_range&) {
      }
      co_yield i;
    }
  };
  EXPECT_THAT(run(list(generate(fail))), ElementsAre(0, 1, 2));
}

TEST(async_generator, left_early_destroys_its_locals_innermost_first) {
  strings ends;
  auto generate = [](strings& to) -> async_generator<int> {
    const note_end outer(to, "outer");
    for (int i = 0;; ++i) {
      const note_end inner(to, "inner");
      co_await yield();
      co_yield i;
    }
  };
  auto consume = [](strings& to, auto& make) -> task<> {
    {
      async_generator<int> g = make(to);
      while (const int* n = co_await g.next()) {
        if (*n == 1)
          break;
      }
      EXPECT_THAT(to, ElementsAre("inner"));
    }
    EXPECT_THAT(to, ElementsAre("inner", "inner", "outer"));
  };
  run(consume(ends, generate));
}

TEST(async_generator, may_outlive_its_loop_when_it_is_suspended_at_a_yield) {
  strings ends;
  auto generate = [](strings& to) -> async_generator<int> {
    const note_end local(to, "local");
    co_yield 1;
  };
  auto begin = [](async_generator<int>& g) -> task<> { co_await g.next(); };
  {
    async_generator<int> g = generate(ends);
    run(begin(g));
    EXPECT_THAT(ends, ElementsAre());
  }
  EXPECT_THAT(ends, ElementsAre("local"));
}

TEST(async_generator, next_while_another_next_runs_is_an_error_and_disturbs_nothing) {
  auto generate = [](event& go) -> async_generator<int> {
    co_await go.async_wait();
    co_yield 1;
    co_yield 2;
  };
  auto take = [](async_generator<int>& g) -> task<int> {
    const int* got = co_await g.next();
    co_return *got;
  };
  auto consume = [](auto& make, auto& one) -> task<> {
    event go;
    async_generator<int> g = make(go);
    future<int> first = spawn(one(g));
    co_await test::let_others_run();
    try {
      co_await g.next();
      ADD_FAILURE();
    } catch (const error&) {
    }
    EXPECT_THROW(static_cast<void>(std::move(g).close()), error);
    EXPECT_TRUE(g.valid()); // NOLINT(bugprone-use-after-move)
    go.set();
    EXPECT_EQ(co_await first, 1);
    EXPECT_EQ(*co_await g.next(), 2);
  };
  run(consume(generate, take));
}

TEST(async_generator, next_by_its_own_body_is_an_error) {
  auto generate = [](async_generator<int>*& self) -> async_generator<int> {
    try {
      co_await self->next();
      ADD_FAILURE();
    } catch (const error&) {
    }
    co_yield 1;
  };
  auto consume = [](auto& make) -> task<> {
    async_generator<int>* self = nullptr;
    async_generator<int> g = make(self);
    self = &g;
    EXPECT_EQ(*co_await g.next(), 1);
    EXPECT_EQ(co_await g.next(), nullptr);
  };
  run(consume(generate));
}

TEST(async_generator_death, destroyed_while_next_runs_is_misuse) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto generate = []() -> async_generator<int> {
    co_await sleep_until(never);
    co_yield 1;
  };
  auto take = [](async_generator<int>& g) -> task<> { co_await g.next(); };
  auto consume = [](auto& make, auto& one) -> task<> {
    auto g = std::make_unique<async_generator<int>>(make());
    future<void> taking = spawn(one(*g));
    co_await test::let_others_run();
    g.reset();
  };
  EXPECT_DEATH(run(consume(generate, take)), "async_generator was destroyed while next");
}

async_generator<int> squares_of(async_generator<int> inputs) {
  while (const int* n = co_await inputs.next())
    co_yield *n** n;
}

TEST(async_generator, can_consume_another_one) {
  EXPECT_THAT(run(list(squares_of(squares_of(range(1, 4))))), ElementsAre(1, 16, 81));
}

TEST(async_generator, many_run_beside_one_another) {
  auto sum = [](async_generator<int> g) -> task<int> {
    int total = 0;
    while (const int* n = co_await g.next())
      total += *n;
    co_return total;
  };
  auto body = [](auto& add) -> task<> {
    auto [a, b, c] = co_await gather(add(range(0, 10)), add(range(10, 20)), add(range(0, 0)));
    EXPECT_EQ(a, 45);
    EXPECT_EQ(b, 145);
    EXPECT_EQ(c, 0);
  };
  run(body(sum));
}

async_generator<int> endless(int first) {
  for (;;)
    co_yield first++;
}

async_generator<int> doubled(async_generator<int> inputs) {
  while (const int* n = co_await inputs.next())
    co_yield *n * 2;
}

TEST(async_generator, million_elements_without_suspension_use_a_bounded_stack) {
  auto consume = []() -> task<long> {
    async_generator<int> g = doubled(endless(0));
    long sum = 0;
    for (int i = 0; i < 1'000'000; ++i)
      sum += *co_await g.next();
    co_return sum;
  };
  EXPECT_EQ(run(consume()), 999'999'000'000);
}

task<int> consume_at_depth(int depth) {
  if (depth > 0)
    co_return co_await consume_at_depth(depth - 1);
  int sum = 0;
  async_generator<int> g = squares_of(range(0, 4));
  while (const int* n = co_await g.next())
    sum += *n;
  co_return sum;
}

TEST(async_generator, works_at_every_depth_around_the_nesting_limit) {
  for (int depth = 0; depth < 80; ++depth)
    EXPECT_EQ(run(consume_at_depth(depth)), 14);
}

// Cancellation.

async_generator<int> wait_after_first(strings& to) {
  const note_end local(to, "local");
  co_yield 1;
  try {
    co_await sleep_until(never);
  } catch (const cancelled&) {
    to.emplace_back("cancelled inside");
    throw;
  }
  co_yield 2;
}

TEST(cancellation_of_async_generators, goes_through_the_body_to_the_consumer) {
  strings steps;
  auto consume = [](strings& to) -> task<> {
    async_generator<int> g = wait_after_first(to);
    EXPECT_EQ(*co_await g.next(), 1);
    try {
      co_await g.next();
      ADD_FAILURE();
    } catch (const cancelled&) {
      to.emplace_back("cancelled consumer");
      throw;
    }
  };
  EXPECT_THROW(run(timeout(1ms, consume(steps))), timed_out);
  EXPECT_THAT(steps, ElementsAre("cancelled inside", "local", "cancelled consumer"));
}

TEST(cancellation_of_async_generators, ends_the_sequence_that_it_went_through) {
  strings steps;
  auto take = [](async_generator<int>& g) -> task<> { co_await g.next(); };
  auto consume = [](strings& to, auto& one) -> task<> {
    async_generator<int> g = wait_after_first(to);
    EXPECT_EQ(*co_await g.next(), 1);
    try {
      co_await timeout(1ms, one(g));
      ADD_FAILURE();
    } catch (const timed_out&) {
    }
    EXPECT_EQ(co_await g.next(), nullptr);
  };
  run(consume(steps, take));
  EXPECT_THAT(steps, ElementsAre("cancelled inside", "local"));
}

TEST(cancellation_of_async_generators, generator_that_survives_it_goes_on) {
  auto generate = []() -> async_generator<int> {
    bool interrupted = false;
    try {
      co_await sleep_until(never);
    } catch (const cancelled&) {
      interrupted = true;
    }
    co_yield interrupted ? 1 : 0;
    co_await yield();
    co_yield 2;
  };
  auto take = [](async_generator<int>& g) -> task<int> {
    const int* got = co_await g.next();
    co_return *got;
  };
  auto consume = [](auto& make, auto& one) -> task<> {
    async_generator<int> g = make();
    EXPECT_EQ(co_await timeout(1ms, one(g)), 1);
    EXPECT_EQ(co_await one(g), 2);
  };
  run(consume(generate, take));
}

TEST(cancellation_of_async_generators, does_not_disturb_one_that_never_waits) {
  auto consume = []() -> task<int> {
    async_generator<int> g = endless(0);
    int sum = 0;
    for (int i = 0; i < 10; ++i)
      sum += *co_await g.next();
    co_return sum;
  };
  auto body = [](auto& work) -> task<> {
    const auto sum_in_cancelled_group = [&](task_group& group) -> task<> {
      group.cancel();
      EXPECT_EQ(co_await work(), 45);
    };
    co_await with_task_group(sum_in_cancelled_group);
  };
  run(body(consume));
}

TEST(cancellation_of_async_generators, of_a_consumer_that_waits_elsewhere_destroys_the_generator) {
  strings steps;
  auto consume = [](strings& to) -> task<> {
    async_generator<int> g = wait_after_first(to);
    co_await g.next();
    co_await sleep_until(never);
  };
  EXPECT_THROW(run(timeout(1ms, consume(steps))), timed_out);
  EXPECT_THAT(steps, ElementsAre("local"));
}

// close().

async_generator<int> clean_up_when_closed(strings& to) {
  const note_end local(to, "local");
  std::exception_ptr failure;
  try {
    for (int i = 0;; ++i)
      co_yield i;
  } catch (const cancelled&) {
    failure = std::current_exception();
  }
  co_await test::let_others_run();
  to.emplace_back("cleaned up");
  if (failure)
    std::rethrow_exception(failure);
}

TEST(async_generator_close, throws_cancelled_at_the_yield_and_waits_for_the_clean_up) {
  strings steps;
  auto consume = [](strings& to) -> task<> {
    async_generator<int> g = clean_up_when_closed(to);
    EXPECT_EQ(*co_await g.next(), 0);
    EXPECT_EQ(*co_await g.next(), 1);
    co_await std::move(g).close();
    EXPECT_THAT(to, ElementsAre("cleaned up", "local"));
    EXPECT_FALSE(g.valid()); // NOLINT(bugprone-use-after-move)
  };
  run(consume(steps));
}

TEST(async_generator_close, of_a_body_that_does_not_care_destroys_its_locals) {
  strings steps;
  auto consume = [](strings& to) -> task<> {
    async_generator<int> g = wait_after_first(to);
    co_await g.next();
    co_await std::move(g).close();
    EXPECT_THAT(to, ElementsAre("local"));
  };
  run(consume(steps));
}

TEST(async_generator_close, of_one_that_has_ended_does_nothing) {
  auto consume = []() -> task<> {
    async_generator<int> g = range(0, 1);
    EXPECT_EQ(*co_await g.next(), 0);
    EXPECT_EQ(co_await g.next(), nullptr);
    co_await std::move(g).close();
  };
  run(consume());
}

TEST(async_generator_close, twice_is_an_error) {
  auto consume = []() -> task<> {
    async_generator<int> g = range(0, 3);
    co_await g.next();
    co_await std::move(g).close();
    EXPECT_THROW(static_cast<void>(std::move(g).close()), error); // NOLINT(bugprone-use-after-move)
    EXPECT_THROW(static_cast<void>(g.next()), error);
  };
  run(consume());
}

TEST(async_generator_close, body_that_swallows_it_and_returns_has_ended_well) {
  auto generate = []() -> async_generator<int> {
    try {
      co_yield 1;
    } catch (const cancelled&) {
    }
  };
  auto consume = [](auto& make) -> task<> {
    async_generator<int> g = make();
    co_await g.next();
    co_await std::move(g).close();
  };
  run(consume(generate));
}

TEST(async_generator_close, body_that_yields_again_is_an_error_and_is_destroyed) {
  strings ends;
  auto generate = [](strings& to) -> async_generator<int> {
    const note_end local(to, "local");
    for (int i = 0;; ++i) {
      try {
        co_yield i;
      } catch (const cancelled&) {
        to.emplace_back("swallowed");
      }
    }
  };
  auto consume = [](strings& to, auto& make) -> task<> {
    async_generator<int> g = make(to);
    co_await g.next();
    try {
      co_await std::move(g).close();
      ADD_FAILURE();
    } catch (const cancelled&) {
      ADD_FAILURE();
    } catch (const error&) {
      EXPECT_THAT(to, ElementsAre("swallowed", "local"));
    }
  };
  run(consume(ends, generate));
}

TEST(async_generator_close, exception_of_the_clean_up_comes_out_of_it) {
  auto generate = []() -> async_generator<int> {
    bool closing = false;
    try {
      co_yield 1;
    } catch (const cancelled&) {
      closing = true;
    }
    if (closing) {
      co_await yield();
      throw std::out_of_range("clean-up");
    }
  };
  auto consume = [](auto& make) -> task<> {
    async_generator<int> g = make();
    co_await g.next();
    co_await std::move(g).close();
  };
  EXPECT_THROW(run(consume(generate)), std::out_of_range);
}

TEST(async_generator_close, in_a_shield_cleans_up_although_the_consumer_is_cancelled) {
  strings steps;
  auto consume = [](strings& to) -> task<> {
    async_generator<int> g = clean_up_when_closed(to);
    co_await g.next();
    try {
      co_await sleep_until(never);
    } catch (const cancelled&) {
    }
    co_await shield(std::move(g).close());
    co_await yield(); // throws
  };
  EXPECT_THROW(run(timeout(1ms, consume(steps))), timed_out);
  EXPECT_THAT(steps, ElementsAre("cleaned up", "local"));
}

TEST(async_generator_close, that_is_never_awaited_destroys_the_generator) {
  strings steps;
  auto consume = [](strings& to) -> task<> {
    async_generator<int> g = clean_up_when_closed(to);
    co_await g.next();
    {
      const task<> never_awaited = std::move(g).close();
    }
    EXPECT_THAT(to, ElementsAre("local"));
  };
  run(consume(steps));
}

// elements_of.

struct tree {
  int value;
  std::vector<tree> children{};
};

async_generator<const int&> walk(const tree& t) {
  if (t.value % 3 == 0)
    co_await yield();
  co_yield t.value;
  for (const tree& child : t.children)
    co_yield elements_of(walk(child));
}

TEST(nested_async_generator, walks_a_tree_in_order) {
  const tree t{1, {{2, {{3}, {4}}}, {5}, {6, {{7, {{8}}}}}}};
  auto consume = [](const tree& root) -> task<std::vector<int>> {
    std::vector<int> all;
    async_generator<const int&> g = walk(root);
    while (const int* n = co_await g.next())
      all.push_back(*n);
    co_return all;
  };
  EXPECT_THAT(run(consume(t)), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

TEST(nested_async_generator, may_be_empty_and_may_come_first_and_last) {
  auto generate = []() -> async_generator<int> {
    co_yield elements_of(range(0, 0));
    co_yield elements_of(range(0, 2));
    co_yield elements_of(range(1, 1));
    async_generator<int> named = range(2, 4);
    co_yield elements_of(std::move(named));
  };
  EXPECT_THAT(run(list(generate())), ElementsAre(0, 1, 2, 3));
}

TEST(nested_async_generator, that_was_started_is_an_error) {
  auto generate = []() -> async_generator<int> {
    async_generator<int> started = range(0, 3);
    co_await started.next();
    try {
      co_yield elements_of(std::move(started));
      ADD_FAILURE();
    } catch (const error&) {
    }
    co_yield 1;
  };
  EXPECT_THAT(run(list(generate())), ElementsAre(1));
}

TEST(nested_async_generator, fails_into_its_parent_which_may_go_on) {
  strings steps;
  auto failing = [](strings& to, bool suspend) -> async_generator<int> {
    const note_end local(to, "child");
    co_yield 1;
    if (suspend)
      co_await yield();
    throw std::out_of_range("child");
  };
  auto parent = [](strings& to, auto& child) -> async_generator<int> {
    for (const bool suspend : {false, true}) {
      try {
        co_yield elements_of(child(to, suspend));
        ADD_FAILURE();
      } catch (const std::out_of_range&) {
        to.emplace_back("caught");
      }
    }
    co_yield 2;
  };
  EXPECT_THAT(run(list(parent(steps, failing))), ElementsAre(1, 1, 2));
  EXPECT_THAT(steps, ElementsAre("child", "caught", "child", "caught"));
}

async_generator<int> nest(int depth, strings& to) {
  const note_end local(to, std::to_string(depth));
  if (depth > 0)
    co_yield elements_of(nest(depth - 1, to));
  while (depth >= 0)
    co_yield depth;
}

TEST(nested_async_generator, destroyed_or_closed_while_suspended_ends_innermost_first) {
  strings ends;
  auto consume = [](strings& to) -> task<> {
    {
      async_generator<int> g = nest(2, to);
      EXPECT_EQ(*co_await g.next(), 0);
    }
    async_generator<int> g = nest(2, to);
    EXPECT_EQ(*co_await g.next(), 0);
    co_await std::move(g).close();
  };
  run(consume(ends));
  EXPECT_THAT(ends, ElementsAre("0", "1", "2", "0", "1", "2"));
}

TEST(nested_async_generator, child_that_swallows_the_closing_does_not_keep_its_parent_going) {
  auto child = []() -> async_generator<int> {
    try {
      co_yield 1;
    } catch (const cancelled&) {
    }
  };
  auto parent = [](auto& make) -> async_generator<int> {
    co_yield elements_of(make());
    ADD_FAILURE() << "it is being closed";
    co_yield 2;
  };
  auto consume = [](auto& make, auto& make_child) -> task<> {
    async_generator<int> g = make(make_child);
    co_await g.next();
    co_await std::move(g).close();
  };
  run(consume(parent, child));
}

TEST(nested_async_generator, is_cancelled_where_it_waits) {
  strings steps;
  auto parent = [](strings& to) -> async_generator<int> {
    const note_end local(to, "parent");
    co_yield elements_of(wait_after_first(to));
    ADD_FAILURE();
  };
  EXPECT_THROW(run(timeout(1ms, list(parent(steps)))), timed_out);
  EXPECT_THAT(steps, ElementsAre("cancelled inside", "local", "parent"));
}

constexpr int deep = 1'000'000;

/// `suspend_every`: 0 for never.
async_generator<int> chain(int depth, int suspend_every) {
  if (suspend_every != 0 && depth % suspend_every == 0)
    co_await yield();
  co_yield depth;
  if (depth > 0)
    co_yield elements_of(chain(depth - 1, suspend_every));
  if (suspend_every != 0 && depth % suspend_every == 1)
    co_await yield();
  co_yield depth;
}

task<long> sum_of(async_generator<int> g) {
  long sum = 0;
  while (const int* n = co_await g.next())
    sum += *n;
  co_return sum;
}

TEST(nested_async_generator, million_levels_down_and_up_again_use_a_bounded_stack) {
  EXPECT_EQ(run(sum_of(chain(deep, 0))), static_cast<long>(deep) * (deep + 1));
}

TEST(nested_async_generator, levels_that_suspend_and_levels_that_do_not_add_up) {
  for (const int suspend_every : {1, 2, 3, 1000})
    EXPECT_EQ(run(sum_of(chain(100'000, suspend_every))), 100'000L * 100'001);
}

async_generator<int> endless_chain(int depth) {
  if (depth > 0)
    co_yield elements_of(endless_chain(depth - 1));
  for (int i = 0;; ++i)
    co_yield i;
}

TEST(nested_async_generator, element_costs_the_same_below_a_million_levels_and_all_are_destroyed) {
  // Proportional to the depth, these would be 10^12 steps and the test would reach its time limit.
  auto consume = []() -> task<int> {
    async_generator<int> g = endless_chain(deep);
    int last = 0;
    while (const int* n = co_await g.next()) {
      last = *n;
      if (last == 1'000'000)
        break;
    }
    co_return last;
  };
  EXPECT_EQ(run(consume()), 1'000'000);
}

async_generator<int> failing_chain(int depth) {
  if (depth == 0) {
    co_await yield();
    throw std::out_of_range("deepest");
  }
  co_yield elements_of(failing_chain(depth - 1));
}

TEST(nested_async_generator, exception_through_many_levels_uses_a_bounded_stack) {
  EXPECT_THROW(run(list(failing_chain(20'000))), std::out_of_range);
}

} // namespace
} // namespace fourfold
