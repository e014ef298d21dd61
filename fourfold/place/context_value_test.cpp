// Values that follow the work, to every place.
#include <fourfold/base/context_value.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/place/map.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

const context_value<std::string> request("request", "none");
const context_value<int> depth("depth", 0);
const context_value<int*> pointer("pointer", nullptr); // cannot travel

std::string seen() { return request.get(); }
std::string seen_after_nothing(int) { return request.get(); }
task<std::string> seen_later() {
  co_await yield();
  co_return request.get() + "/" + std::to_string(depth.get());
}
std::string seen_by_a_pool_of_the_worker() {
  thread_pool inner({.threads = 1});
  const auto bound = depth.bind(depth.get() + 1);
  return inner.submit([] { return request.get() + "/" + std::to_string(depth.get()); }).get();
}

TEST(context_value, is_what_was_bound_last_until_the_scope_ends) {
  EXPECT_EQ(request.get(), "none");
  {
    const auto bound = request.bind("first");
    EXPECT_EQ(request.get(), "first");
    {
      const auto inner = request.bind("second");
      const auto other = depth.bind(1);
      EXPECT_EQ(request.get(), "second");
      EXPECT_EQ(depth.get(), 1);
    }
    EXPECT_EQ(request.get(), "first");
    EXPECT_EQ(depth.get(), 0);
  }
  EXPECT_EQ(request.get(), "none");
}

TEST(context_value, ends_with_its_scope_when_an_exception_leaves_it) {
  const auto fail = [] {
    const auto bound = request.bind("failing");
    throw std::runtime_error("away");
  };
  EXPECT_THROW(fail(), std::runtime_error);
  EXPECT_EQ(request.get(), "none");
}

TEST(context_value, is_not_seen_by_a_thread_that_was_started_by_hand) {
  const auto bound = request.bind("here");
  std::string there;
  std::jthread([&there] { there = request.get(); }).join();
  EXPECT_EQ(there, "none");
}

TEST(context_value, destroys_what_was_bound_when_nobody_has_it_any_more) {
  const context_value<std::shared_ptr<int>> owner("owner", nullptr);
  const auto value = std::make_shared<int>(1);
  {
    const auto bound = owner.bind(value);
    const context_bindings kept = current_context();
    EXPECT_EQ(value.use_count(), 2);
  }
  EXPECT_EQ(value.use_count(), 1);
}

TEST(context_value, is_seen_in_awaited_tasks_and_children_and_not_outside) {
  const auto main = []() -> task<> {
    const auto child = [](std::string name) -> task<> {
      const auto bound = request.bind(name);
      co_await yield(); // the others bind theirs
      EXPECT_EQ(co_await seen_later(), name + "/5");
      EXPECT_EQ(request.get(), name);
    };
    const auto outer = depth.bind(5);
    auto children = gather(child("a"), child("b"), child("c"));
    co_await std::move(children);
    EXPECT_EQ(request.get(), "none");
    auto spawned = spawn(seen_later());
    const auto later = request.bind("later");
    EXPECT_EQ(co_await spawned, "none/5");
  };
  run(main());
  EXPECT_EQ(depth.get(), 0);
}

TEST(context_value, is_seen_by_the_children_of_a_group_that_outlast_the_binding) {
  const auto main = []() -> task<> {
    event go;
    std::string there;
    const auto child = [](event& start, std::string& result) -> task<> {
      co_await start.async_wait();
      result = request.get();
    };
    const auto body = [&](task_group& group) -> task<> {
      {
        const auto bound = request.bind("gone");
        group.spawn(child(go, there));
      }
      go.set();
      co_return;
    };
    co_await with_task_group(body);
    EXPECT_EQ(there, "gone");
  };
  run(main());
}

TEST(context_value, follows_calls_to_threads) {
  thread_pool pool({.threads = 2});
  const auto bound = request.bind("r-1");
  EXPECT_EQ(pool.submit(seen).get(30s), "r-1");
  const auto nested = [&pool] { return pool.submit(seen).get() + "!"; };
  EXPECT_EQ(pool.submit(nested).get(30s), "r-1!");
  const auto rebound = [&pool] {
    const auto inner = request.bind("r-2");
    return pool.submit(seen).get();
  };
  EXPECT_EQ(pool.submit(rebound).get(30s), "r-2");
  const auto main = [&pool]() -> task<std::string> {
    const auto inner = request.bind("r-3");
    co_return co_await pool.submit(seen);
  };
  EXPECT_EQ(run(main()), "r-3");
}

TEST(context_value, leaves_no_trace_on_the_threads_of_a_pool) {
  thread_pool pool({.threads = 1});
  {
    const auto bound = request.bind("r-1");
    EXPECT_EQ(pool.submit(seen).get(30s), "r-1");
  }
  EXPECT_EQ(pool.submit(seen).get(30s), "none");
}

TEST(context_value, follows_calls_to_a_loop_from_another_thread) {
  const auto main = []() -> task<> {
    loop& here = loop::current();
    const auto of_the_loop = request.bind("loop");
    future<std::string> function;
    future<std::string> coroutine;
    std::jthread([&] {
      const auto bound = request.bind("caller");
      function = here.submit(seen);
      coroutine = here.submit(seen_later);
    }).join();
    EXPECT_EQ(co_await function, "caller");
    EXPECT_EQ(co_await coroutine, "caller/0");
    EXPECT_EQ(request.get(), "loop");
  };
  run(main());
}

TEST(context_value, follows_calls_to_processes_if_it_can_travel) {
  process_pool pool({.workers = 1});
  int here = 0;
  const auto not_carried = pointer.bind(&here);
  EXPECT_EQ(pool.submit(seen).get(30s), "none");
  {
    const auto hidden = request.bind("hidden");
    const auto bound = request.bind("far away");
    const auto other = depth.bind(3);
    EXPECT_EQ(pool.submit(seen).get(30s), "far away");
    EXPECT_EQ(pool.submit(seen_later).get(30s), "far away/3");
    EXPECT_EQ(pool.submit(seen_by_a_pool_of_the_worker).get(30s), "far away/4");
  }
  EXPECT_EQ(pool.submit(seen).get(30s), "none");
}

TEST(context_value, follows_the_calls_of_a_map) {
  process_pool pool({.workers = 2});
  const auto bound = request.bind("mapped");
  const std::vector<int> inputs(50);
  EXPECT_EQ(map(pool, seen_after_nothing, inputs).get(30s), std::vector<std::string>(50, "mapped"));
}

TEST(context_value, that_arrives_as_nonsense_is_an_error_and_not_a_value) {
  byte_buffer bytes;
  encoder out(bytes);
  out.write(std::uint8_t{1}, std::string("depth"), std::string(typeid(int).name()), std::vector<std::byte>(3),
            std::uint8_t{0});
  decoder in(bytes.bytes());
  const context_scope bound(decode_context(in));
  EXPECT_THROW(static_cast<void>(depth.get()), decode_error);
  EXPECT_EQ(request.get(), "none");
}

} // namespace
} // namespace fourfold
