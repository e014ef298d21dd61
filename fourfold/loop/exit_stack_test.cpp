#include <fourfold/base/errors.hpp>
#include <fourfold/loop/exception_group.hpp>
#include <fourfold/loop/exit_stack.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/event.hpp>

#include <gmock/gmock.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using strings = std::vector<std::string>;

/// What the exceptions say, in order.
strings messages(const exception_group& group) {
  strings all;
  for (const std::exception_ptr& each : group.exceptions()) {
    try {
      std::rethrow_exception(each);
    } catch (const std::exception& e) {
      all.emplace_back(e.what());
    }
  }
  return all;
}

task<> note(strings& to, std::string text) {
  co_await test::let_others_run();
  to.push_back(std::move(text));
}

task<> fail(std::string text) {
  co_await yield();
  throw std::runtime_error(text);
}

TEST(exit_stack, runs_clean_ups_in_reverse_order_after_the_body_has_ended) {
  strings steps;
  auto body = [&](exit_stack& stack) -> task<> {
    struct note_end {
      strings& to;
      ~note_end() { to.emplace_back("locals"); }
    } const local{steps};
    stack.push([&] { return note(steps, "first"); });
    stack.push([&] { steps.emplace_back("second"); });
    co_await yield();
    stack.push([&] { return note(steps, "third"); });
    EXPECT_THAT(steps, ElementsAre());
  };
  run(with_exit_stack(body));
  EXPECT_THAT(steps, ElementsAre("locals", "third", "second", "first"));
}

TEST(exit_stack, each_clean_up_has_ended_before_the_next_begins) {
  int running = 0;
  auto clean_up = [](int& count) -> task<> {
    EXPECT_EQ(++count, 1);
    co_await test::let_others_run();
    --count;
  };
  auto body = [&](exit_stack& stack) -> task<> {
    for (int i = 0; i < 3; ++i)
      stack.push([&] { return clean_up(running); });
    co_return;
  };
  run(with_exit_stack(body));
  EXPECT_EQ(running, 0);
}

TEST(exit_stack, passes_on_the_result_of_the_body) {
  static int variable = 0;
  auto value = [](exit_stack& stack) -> task<std::unique_ptr<int>> {
    stack.push([] { return test::let_others_run(); });
    co_return std::make_unique<int>(3);
  };
  auto reference = [](exit_stack&) -> task<int&> { co_return variable; };
  EXPECT_EQ(*run(with_exit_stack(value)), 3);
  EXPECT_EQ(&run(with_exit_stack(reference)), &variable);
}

task<int> body_function(exit_stack& stack) {
  stack.push([] {});
  co_return 4;
}

TEST(exit_stack, body_may_be_a_function_and_needs_no_clean_ups) {
  auto nothing = [](exit_stack&) -> task<> { co_return; };
  EXPECT_EQ(run(with_exit_stack(body_function)), 4);
  run(with_exit_stack(nothing));
}

TEST(exit_stack, runs_nothing_when_it_is_not_awaited) {
  bool ran = false;
  auto body = [&](exit_stack&) -> task<> {
    ran = true;
    co_return;
  };
  {
    const task<> never_awaited = with_exit_stack(body);
  }
  EXPECT_FALSE(ran);
}

TEST(exit_stack, keeps_a_clean_up_and_its_captures_until_its_coroutine_has_ended) {
  const auto resource = std::make_shared<int>(0);
  auto body = [](exit_stack& stack, const std::shared_ptr<int>& r) -> task<> {
    stack.push([] {});
    stack.push([r, big = std::string(1000, 'x')]() -> task<> {
      co_await test::let_others_run();
      EXPECT_EQ(big.size(), 1000U);
      ++*r;
    });
    stack.push([owned = std::make_unique<std::shared_ptr<int>>(r)]() -> task<> {
      co_await test::let_others_run();
      EXPECT_EQ(owned->use_count(), 3);
      ++**owned;
    });
    co_return;
  };
  auto bound = [&](exit_stack& stack) { return body(stack, resource); };
  run(with_exit_stack(bound));
  EXPECT_EQ(*resource, 2);
  EXPECT_EQ(resource.use_count(), 1);
}

/// Notes its opening, its end, and its destruction.
class connection {
 public:
  connection(strings& to, std::string name) : to_(&to), name_(std::move(name)) {
    to_->push_back("open " + name_);
  }
  connection(connection&&) = default;
  connection& operator=(connection&&) = default;
  ~connection() {
    if (!name_.empty())
      to_->push_back("destroy " + name_);
  }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  task<> close() {
    co_await test::let_others_run();
    to_->push_back("close " + name_);
  }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  strings* to_;
  std::string name_;
};

task<connection> open(strings& to, std::string name) {
  co_await yield();
  if (name == "bad")
    throw std::runtime_error("cannot open");
  co_return connection(to, std::move(name));
}

TEST(exit_stack, keeps_a_resource_until_its_clean_up_has_ended) {
  strings steps;
  auto body = [&](exit_stack& stack) -> task<std::string> {
    connection opened = co_await open(steps, "a");
    connection& a = stack.push(std::move(opened), [](connection& c) { return c.close(); });
    opened = co_await open(steps, "b");
    connection& b = stack.push(std::move(opened), [](connection& c) { return c.close(); });
    for (int i = 0; i < 100; ++i)
      stack.push([] {}); // references stay valid
    co_return a.name() + b.name();
  };
  EXPECT_EQ(run(with_exit_stack(body)), "ab");
  EXPECT_THAT(steps, ElementsAre("open a", "open b", "close b", "destroy b", "close a", "destroy a"));
}

TEST(exit_stack, what_was_opened_before_a_failure_is_closed) {
  strings steps;
  auto body = [&](exit_stack& stack) -> task<> {
    for (const char* name : {"a", "b", "bad", "c"}) {
      connection opened = co_await open(steps, name);
      stack.push(std::move(opened), [](connection& c) { return c.close(); });
    }
  };
  EXPECT_THROW(run(with_exit_stack(body)), std::runtime_error);
  EXPECT_THAT(steps, ElementsAre("open a", "open b", "close b", "destroy b", "close a", "destroy a"));
}

TEST(exit_stack, exception_of_the_body_is_thrown_after_the_clean_ups) {
  strings steps;
  auto body = [&](exit_stack& stack) -> task<int> {
    stack.push([&] { return note(steps, "clean-up"); });
    co_await yield();
    throw std::out_of_range("body");
  };
  EXPECT_THROW(run(with_exit_stack(body)), std::out_of_range);
  EXPECT_THAT(steps, ElementsAre("clean-up"));
}

TEST(exit_stack, body_that_is_no_coroutine_may_push_and_throw) {
  strings steps;
  auto body = [&](exit_stack& stack) -> task<> {
    stack.push([&] { return note(steps, "clean-up"); });
    throw std::out_of_range("before any coroutine was made");
  };
  EXPECT_THROW(run(with_exit_stack(body)), std::out_of_range);
  EXPECT_THAT(steps, ElementsAre("clean-up"));
}

TEST(exit_stack, clean_up_that_fails_alone_is_thrown_and_the_others_still_run) {
  strings steps;
  auto body = [&](exit_stack& stack) -> task<int> {
    stack.push([&] { return note(steps, "first"); });
    stack.push([]() -> task<> { throw std::out_of_range("clean-up"); });
    stack.push([&] { return note(steps, "third"); });
    co_return 1;
  };
  EXPECT_THROW(run(with_exit_stack(body)), std::out_of_range);
  EXPECT_THAT(steps, ElementsAre("third", "first"));
}

TEST(exit_stack, several_failures_are_a_group_with_the_body_s_first) {
  auto body = [](exit_stack& stack) -> task<> {
    stack.push([] { return fail("first pushed"); });
    stack.push([] { throw std::runtime_error("plain function"); });
    stack.push([]() -> task<> { throw std::runtime_error("function that makes no coroutine"); });
    stack.push([] {});
    throw std::runtime_error("body");
    co_return;
  };
  try {
    run(with_exit_stack(body));
    ADD_FAILURE();
  } catch (const exception_group& group) {
    EXPECT_THAT(messages(group),
                ElementsAre("body", "function that makes no coroutine", "plain function", "first pushed"));
  }
}

TEST(exit_stack, many_failing_clean_ups_are_all_kept) {
  auto body = [](exit_stack& stack) -> task<int> {
    for (int i = 0; i < 20; ++i)
      stack.push([i] { return fail(std::to_string(i)); });
    co_return 1;
  };
  try {
    run(with_exit_stack(body));
    ADD_FAILURE();
  } catch (const exception_group& group) {
    const strings all = messages(group);
    ASSERT_EQ(all.size(), 20U);
    EXPECT_EQ(all.front(), "19");
    EXPECT_EQ(all.back(), "0");
  }
}

TEST(exit_stack, clean_up_may_push_another_one) {
  strings steps;
  auto body = [&](exit_stack& stack) -> task<> {
    stack.push([&] { return note(steps, "last"); });
    stack.push([&] {
      steps.emplace_back("pushes");
      for (int i = 0; i < 50; ++i)
        stack.push([] {});
      stack.push([&] { return note(steps, "pushed"); });
    });
    co_return;
  };
  run(with_exit_stack(body));
  EXPECT_THAT(steps, ElementsAre("pushes", "pushed", "last"));
}

TEST(exit_stack, ten_thousand_clean_ups_use_a_bounded_stack) {
  int count = 0;
  auto body = [&](exit_stack& stack) -> task<> {
    for (int i = 0; i < 10'000; ++i)
      stack.push([&count] { ++count; });
    co_return;
  };
  run(with_exit_stack(body));
  EXPECT_EQ(count, 10'000);
}

TEST(exit_stack, can_be_nested) {
  strings steps;
  auto inner = [&](exit_stack& stack) -> task<> {
    stack.push([&] { return note(steps, "inner"); });
    co_await yield();
    throw std::out_of_range("inner body");
  };
  auto outer = [&](exit_stack& stack) -> task<> {
    stack.push([&] { return note(steps, "outer"); });
    co_await with_exit_stack(inner);
  };
  EXPECT_THROW(run(with_exit_stack(outer)), std::out_of_range);
  EXPECT_THAT(steps, ElementsAre("inner", "outer"));
}

TEST(cancellation_of_exit_stacks, cancels_the_body_and_lets_clean_ups_wait) {
  strings steps;
  auto body = [&](exit_stack& stack) -> task<> {
    stack.push([&] { return note(steps, "clean-up"); });
    co_await sleep_until(never);
  };
  EXPECT_THROW(run(timeout(1ms, with_exit_stack(body))), timed_out);
  EXPECT_THAT(steps, ElementsAre("clean-up"));
}

TEST(cancellation_of_exit_stacks, during_the_clean_ups_is_delivered_after_them_and_keeps_the_result) {
  struct state {
    event may_end;
    bool cleaned_up = false;
    bool went_on = false;
  } s;
  auto body = [&](exit_stack& stack) -> task<int> {
    stack.push([&]() -> task<> {
      co_await s.may_end.async_wait();
      co_await yield();
      s.cleaned_up = true;
    });
    co_return 5;
  };
  auto work = [](auto& inside, state& st) -> task<> {
    EXPECT_EQ(co_await with_exit_stack(inside), 5);
    EXPECT_TRUE(st.cleaned_up);
    co_await yield(); // throws
    st.went_on = true;
  };
  auto outside = [](auto& run_work, auto& inside, state& st) -> task<> {
    future<void> working = spawn(run_work(inside, st));
    co_await test::let_others_run();
    EXPECT_TRUE(working.cancel());
    co_await test::let_others_run();
    EXPECT_FALSE(working.ready());
    st.may_end.set();
    try {
      co_await working;
      ADD_FAILURE();
    } catch (const cancelled&) {
    }
  };
  run(outside(work, body, s));
  EXPECT_FALSE(s.went_on);
}

TEST(cancellation_of_exit_stacks, together_with_a_failing_clean_up_is_a_group_of_both) {
  auto body = [](exit_stack& stack) -> task<> {
    stack.push([] { return fail("clean-up"); });
    co_await sleep_until(never);
  };
  try {
    run(timeout(1ms, with_exit_stack(body)));
    ADD_FAILURE();
  } catch (const exception_group& group) {
    EXPECT_THAT(messages(group), ElementsAre(cancelled().what(), "clean-up"));
  }
}

TEST(cancellation_of_exit_stacks, clean_up_may_have_a_time_limit_of_its_own) {
  auto body = [](exit_stack& stack) -> task<> {
    stack.push([]() -> task<> {
      auto hang = []() -> task<> { co_await sleep_until(never); };
      co_await timeout(1ms, hang());
    });
    co_return;
  };
  EXPECT_THROW(run(with_exit_stack(body)), timed_out);
}

} // namespace
} // namespace fourfold
