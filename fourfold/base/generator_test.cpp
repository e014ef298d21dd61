#include <fourfold/base/generator.hpp>

#include <gmock/gmock.h>

#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using ::testing::ElementsAre;
using strings = std::vector<std::string>;

template <class T>
std::vector<std::remove_cvref_t<T>> list(generator<T> g) {
  std::vector<std::remove_cvref_t<T>> all;
  for (auto&& each : g)
    all.push_back(std::forward<decltype(each)>(each));
  return all;
}

/// Notes its own end.
struct note_end {
  note_end(strings& list, std::string own_name) : to(list), name(std::move(own_name)) {}
  ~note_end() { to.push_back(name); }
  note_end(const note_end&) = delete;
  note_end& operator=(const note_end&) = delete;

  strings& to;
  std::string name;
};

generator<int> range(int from, int to) {
  for (int i = from; i < to; ++i)
    co_yield i;
}
generator<int> from(int first) {
  for (;;)
    co_yield first++;
}

static_assert(std::ranges::input_range<generator<int>>);
static_assert(!std::ranges::forward_range<generator<int>>);
static_assert(!std::is_copy_constructible_v<generator<int>>);
static_assert(std::is_nothrow_move_constructible_v<generator<int>>);
static_assert(std::is_same_v<std::ranges::range_reference_t<generator<int>>, int&&>);
static_assert(std::is_same_v<std::ranges::range_reference_t<generator<int&>>, int&>);
static_assert(std::is_same_v<std::ranges::range_reference_t<generator<const int&>>, const int&>);
static_assert(std::is_same_v<std::ranges::range_value_t<generator<const int&>>, int>);

TEST(generator, yields_in_order_and_ends) { EXPECT_THAT(list(range(0, 4)), ElementsAre(0, 1, 2, 3)); }

TEST(generator, may_yield_nothing) {
  EXPECT_THAT(list(range(0, 0)), ElementsAre());
  generator<int> none = range(0, 0);
  EXPECT_TRUE(none.begin() == none.end());
}

TEST(generator, runs_its_body_only_as_far_as_the_elements_that_are_asked_for) {
  strings steps;
  auto body = [](strings& to) -> generator<int> {
    to.emplace_back("begun");
    co_yield 1;
    to.emplace_back("resumed");
    co_yield 2;
    to.emplace_back("ended");
  };
  generator<int> g = body(steps);
  EXPECT_THAT(steps, ElementsAre());
  auto it = g.begin();
  EXPECT_EQ(*it, 1);
  EXPECT_EQ(*it, 1) << "looking at it again runs nothing";
  EXPECT_THAT(steps, ElementsAre("begun"));
  ++it;
  EXPECT_EQ(*it, 2);
  EXPECT_THAT(steps, ElementsAre("begun", "resumed"));
  it++;
  EXPECT_TRUE(it == g.end());
  EXPECT_THAT(steps, ElementsAre("begun", "resumed", "ended"));
}

TEST(generator, that_never_ends_is_left_when_the_consumer_has_enough) {
  int sum = 0;
  for (const int n : from(1)) {
    if (n > 100)
      break;
    sum += n;
  }
  EXPECT_EQ(sum, 5050);
}

TEST(generator, left_early_destroys_its_locals_innermost_first) {
  strings ends;
  auto body = [](strings& to) -> generator<int> {
    const note_end outer(to, "outer");
    for (int i = 0;; ++i) {
      const note_end inner(to, "inner");
      co_yield i;
    }
  };
  for (const int n : body(ends)) {
    if (n == 1)
      break;
  }
  EXPECT_THAT(ends, ElementsAre("inner", "inner", "outer"));
}

TEST(generator, never_begun_runs_nothing_and_frees_its_arguments) {
  bool ran = false;
  auto body = [](std::shared_ptr<int> argument, bool& flag) -> generator<int> {
    flag = true;
    co_yield *argument;
  };
  const auto argument = std::make_shared<int>(1);
  {
    const generator<int> g = body(argument, ran);
    EXPECT_EQ(argument.use_count(), 2);
  }
  EXPECT_EQ(argument.use_count(), 1);
  EXPECT_FALSE(ran);
}

TEST(generator, is_movable_also_between_two_elements) {
  generator<int> a = range(0, 3);
  auto it = a.begin();
  generator<int> b = std::move(a);
  EXPECT_FALSE(a.valid()); // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(b.valid());
  ++it;
  EXPECT_EQ(*it, 1);
  EXPECT_THROW(static_cast<void>(a.begin()), error);
  a = std::move(b);
  ++it;
  EXPECT_EQ(*it, 2);
  ++it;
  EXPECT_TRUE(it == a.end());
}

TEST(generator, can_be_continued_by_its_iterator_but_begun_only_once) {
  generator<int> g = from(0);
  auto it = g.begin();
  EXPECT_THROW(static_cast<void>(g.begin()), error);
  auto moved = std::move(it);
  ++moved;
  EXPECT_EQ(*moved, 1);
}

TEST(generator, goes_on_on_another_thread) {
  generator<int> g = from(0);
  auto it = g.begin();
  std::jthread([&] { ++it; }).join();
  EXPECT_EQ(*it, 1);
}

TEST(generator, advanced_past_its_end_is_an_error) {
  generator<int> g = range(0, 1);
  auto it = g.begin();
  ++it;
  EXPECT_TRUE(it == g.end());
  EXPECT_THROW(++it, error);
  EXPECT_TRUE(it == g.end());
}

TEST(generator, advanced_by_its_own_body_is_an_error) {
  generator<int>::iterator* own = nullptr;
  auto body = [](generator<int>::iterator*& it) -> generator<int> {
    co_yield 1;
    ++*it;
    co_yield 2;
  };
  generator<int> g = body(own);
  auto it = g.begin();
  own = &it;
  EXPECT_THROW(++it, error);
  EXPECT_TRUE(it == g.end());
}

TEST(generator, yields_references_without_copying) {
  struct immovable {
    explicit immovable(int n) : number(n) {}
    immovable(const immovable&) = delete;
    immovable& operator=(const immovable&) = delete;
    int number;
  };
  immovable one(1);
  immovable two(2);
  auto both = [](immovable& a, immovable& b) -> generator<immovable&> {
    co_yield a;
    co_yield b;
  };
  for (immovable& each : both(one, two))
    each.number *= 10;
  EXPECT_EQ(one.number, 10);
  EXPECT_EQ(two.number, 20);

  auto constant = [](immovable& a) -> generator<const immovable&> { co_yield a; };
  for (const immovable& each : constant(one))
    EXPECT_EQ(&each, &one);
}

TEST(generator, yields_what_can_only_be_moved) {
  auto body = []() -> generator<std::unique_ptr<int>> {
    co_yield std::make_unique<int>(1);
    auto named = std::make_unique<int>(2);
    co_yield std::move(named);
    EXPECT_EQ(named, nullptr) << "the consumer took it"; // NOLINT(bugprone-use-after-move)
  };
  std::vector<std::unique_ptr<int>> taken = list(body());
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(*taken[0], 1);
  EXPECT_EQ(*taken[1], 2);
}

TEST(generator, consumer_that_moves_an_element_away_does_not_reach_the_variable_behind_it) {
  auto body = []() -> generator<std::string> {
    std::string text = "long enough that it is not stored in place";
    co_yield text;
    co_yield text;
  };
  std::vector<std::string> taken;
  for (std::string&& each : body())
    taken.push_back(std::move(each));
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(taken[0], taken[1]);
}

TEST(generator, converts_what_is_yielded) {
  auto texts = []() -> generator<std::string> { co_yield "text"; };
  auto pairs = []() -> generator<std::pair<int, std::string>> { co_yield {1, "one"}; };
  EXPECT_THAT(list(texts()), ElementsAre("text"));
  EXPECT_THAT(list(pairs()), ElementsAre(std::pair(1, std::string("one"))));
}

TEST(generator, exception_before_the_first_element_comes_out_of_begin) {
  auto body = [](bool fail) -> generator<int> {
    if (fail)
      throw std::out_of_range("at once");
    co_yield 1;
  };
  generator<int> g = body(true);
  EXPECT_THROW(static_cast<void>(g.begin()), std::out_of_range);
}

TEST(generator, exception_between_elements_comes_out_of_increment_and_is_the_end) {
  strings ends;
  auto body = [](strings& to) -> generator<int> {
    const note_end local(to, "local");
    co_yield 1;
    throw std::out_of_range("in between");
  };
  generator<int> g = body(ends);
  auto it = g.begin();
  EXPECT_THROW(++it, std::out_of_range);
  EXPECT_THAT(ends, ElementsAre("local"));
  EXPECT_TRUE(it == g.end());
  EXPECT_THROW(++it, error);
}

TEST(generator, exception_of_the_consumer_destroys_the_generator) {
  strings ends;
  auto body = [](strings& to) -> generator<int> {
    const note_end local(to, "local");
    co_yield 1;
    ADD_FAILURE() << "nobody asked for more";
  };
  const auto consume = [&] {
    for (const int n : body(ends))
      throw std::out_of_range(std::to_string(n));
  };
  EXPECT_THROW(consume(), std::out_of_range);
  EXPECT_THAT(ends, ElementsAre("local"));
}

TEST(generator, works_with_the_views_of_the_standard_library) {
  strings texts;
  for (const std::string& text : from(1) | std::views::filter([](int n) { return n % 2 == 0; }) |
                                     std::views::transform([](int n) { return std::to_string(n); }) |
                                     std::views::take(3)) {
    texts.push_back(text);
  }
  EXPECT_THAT(texts, ElementsAre("2", "4", "6"));
}

generator<int> squares_of(generator<int> inputs) {
  for (const int n : inputs)
    co_yield n* n;
}

TEST(generator, can_be_the_argument_of_another_one) {
  EXPECT_THAT(list(squares_of(squares_of(range(1, 4)))), ElementsAre(1, 16, 81));
}

struct tree {
  int value;
  std::vector<tree> children{};
};

generator<const int&> walk(const tree& t) {
  co_yield t.value;
  for (const tree& child : t.children)
    co_yield elements_of(walk(child));
}

TEST(nested_generator, walks_a_tree_in_order) {
  const tree t{1, {{2, {{3}, {4}}}, {5}, {6, {{7, {{8}}}}}}};
  EXPECT_THAT(list(walk(t)), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

TEST(nested_generator, may_be_empty_and_may_come_first_and_last) {
  auto body = []() -> generator<int> {
    co_yield elements_of(range(0, 0));
    co_yield elements_of(range(0, 2));
    co_yield elements_of(range(0, 0));
    generator<int> named = range(2, 4);
    co_yield elements_of(std::move(named));
  };
  EXPECT_THAT(list(body()), ElementsAre(0, 1, 2, 3));
}

TEST(nested_generator, that_was_begun_or_moved_from_is_an_error) {
  auto body = []() -> generator<int> {
    generator<int> begun = range(0, 3);
    static_cast<void>(begun.begin());
    try {
      co_yield elements_of(std::move(begun));
      ADD_FAILURE();
    } catch (const error&) {
    }
    generator<int> a = range(5, 6);
    const generator<int> b = std::move(a);
    try {
      co_yield elements_of(std::move(a)); // NOLINT(bugprone-use-after-move)
      ADD_FAILURE();
    } catch (const error&) {
    }
    co_yield 1;
  };
  EXPECT_THAT(list(body()), ElementsAre(1));
}

TEST(nested_generator, fails_into_its_parent_which_may_go_on) {
  strings ends;
  auto failing = [](strings& to) -> generator<int> {
    const note_end local(to, "child");
    co_yield 1;
    throw std::out_of_range("child");
  };
  auto parent = [](strings& to, auto& child) -> generator<int> {
    try {
      co_yield elements_of(child(to));
      ADD_FAILURE();
    } catch (const std::out_of_range&) {
      to.emplace_back("caught");
    }
    co_yield 2;
    co_yield elements_of(child(to));
  };
  generator<int> g = parent(ends, failing);
  auto it = g.begin();
  EXPECT_EQ(*it, 1);
  ++it;
  EXPECT_EQ(*it, 2);
  EXPECT_THAT(ends, ElementsAre("child", "caught"));
  ++it;
  EXPECT_THROW(++it, std::out_of_range);
}

TEST(nested_generator, that_has_ended_is_freed_before_its_parent_goes_on) {
  auto child = [](std::shared_ptr<int> argument) -> generator<int> { co_yield *argument; };
  auto parent = [](auto& make, const std::shared_ptr<int>& argument) -> generator<int> {
    co_yield elements_of(make(argument));
    EXPECT_EQ(argument.use_count(), 1);
  };
  EXPECT_THAT(list(parent(child, std::make_shared<int>(5))), ElementsAre(5));
}

generator<int> nest(int depth, strings& ends) {
  const note_end local(ends, std::to_string(depth));
  if (depth > 0)
    co_yield elements_of(nest(depth - 1, ends));
  co_yield depth;
}

TEST(nested_generator, destroyed_while_suspended_destroys_locals_innermost_first) {
  strings ends;
  {
    generator<int> g = nest(3, ends);
    EXPECT_EQ(*g.begin(), 0);
    EXPECT_THAT(ends, ElementsAre());
  }
  EXPECT_THAT(ends, ElementsAre("0", "1", "2", "3"));
}

constexpr int deep = 1'000'000;

generator<int> chain(int depth) {
  co_yield depth;
  if (depth > 0)
    co_yield elements_of(chain(depth - 1));
  co_yield depth;
}

TEST(nested_generator, million_levels_down_and_up_again_use_a_bounded_stack_and_constant_time_for_each) {
  long count = 0;
  long sum = 0;
  for (const int n : chain(deep)) {
    ++count;
    sum += n;
  }
  EXPECT_EQ(count, 2L * (deep + 1));
  EXPECT_EQ(sum, static_cast<long>(deep) * (deep + 1));
}

generator<int> endless_chain(int depth) {
  if (depth > 0)
    co_yield elements_of(endless_chain(depth - 1));
  for (int i = 0;; ++i)
    co_yield i;
}

TEST(nested_generator, element_costs_the_same_below_a_hundred_thousand_levels) {
  // Proportional to the depth, these would be 10^11 steps and the test would reach its time limit.
  int last = 0;
  for (const int n : endless_chain(100'000)) {
    last = n;
    if (n == 1'000'000)
      break;
  }
  EXPECT_EQ(last, 1'000'000);
}

TEST(nested_generator, million_levels_are_destroyed_with_a_bounded_stack) {
  generator<int> g = endless_chain(deep);
  EXPECT_EQ(*g.begin(), 0);
}

generator<int> failing_chain(int depth) {
  if (depth == 0)
    throw std::out_of_range("deepest");
  co_yield elements_of(failing_chain(depth - 1));
}

TEST(nested_generator, exception_through_many_levels_uses_a_bounded_stack) {
  generator<int> g = failing_chain(100'000);
  EXPECT_THROW(static_cast<void>(g.begin()), std::out_of_range);
}

} // namespace
} // namespace fourfold
