#include <fourfold/base/errors.hpp>
#include <fourfold/base/sanitizers.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/process/killed_child_test.hpp>
#include <fourfold/process/process_pipe.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/process/process_queue.hpp>
#include <fourfold/process/shared_value.hpp>
#include <fourfold/process/shared_vector.hpp>

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using test::forked_child;

struct sample {
  std::int64_t source = 0;
  std::int64_t number = 0;
  std::array<std::int64_t, 6> rest{};
};

void produce(queue_sender<sample> out, std::int64_t source, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    out.put({.source = source, .number = i}, 60s);
}
std::int64_t consume(queue_receiver<sample> in) {
  std::int64_t count = 0;
  while (in.next(60s))
    ++count;
  return count;
}
task<> async_produce(queue_sender<sample> out, std::int64_t source, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    co_await out.async_put({.source = source, .number = i});
}
task<std::int64_t> async_consume(queue_receiver<sample> in) {
  std::int64_t count = 0;
  for (;;) {
    const auto item = co_await in.async_next();
    if (!item)
      co_return count;
    ++count;
  }
}

TEST(process_queue, keeps_the_order_of_each_producer_until_the_end) {
  process_pool pool({.workers = 2});
  auto [sender, receiver] = process_queue<sample>(16);
  auto one = pool.submit(produce, sender, 1, 5000);
  auto two = pool.submit(async_produce, std::move(sender), 2, 5000);
  std::array<std::int64_t, 3> next{};
  while (const auto item = receiver.next(60s)) {
    const auto source = static_cast<std::size_t>(item->source);
    ASSERT_LT(source, next.size());
    ASSERT_EQ(item->number, next[source]++);
  }
  EXPECT_EQ(next[1], 5000);
  EXPECT_EQ(next[2], 5000);
  EXPECT_THROW(static_cast<void>(receiver.get(60s)), queue_closed);
  one.get(60s);
  two.get(60s);
}

TEST(process_queue, shares_the_items_out_among_consumers) {
  process_pool pool({.workers = 3});
  auto [sender, receiver] = process_queue<sample>(10);
  auto one = pool.submit(consume, receiver);
  auto two = pool.submit(async_consume, receiver);
  auto source = pool.submit(produce, std::move(sender), 0, 10'000);
  source.get(60s);
  EXPECT_EQ(one.get(60s) + two.get(60s), 10'000);
}

TEST(process_queue, holds_exactly_its_capacity) {
  auto [sender, receiver] = process_queue<int>(3);
  EXPECT_TRUE(sender.try_put(1));
  EXPECT_TRUE(sender.try_put(2));
  sender.put(3);
  EXPECT_FALSE(sender.try_put(4));
  EXPECT_THROW(sender.put(4, 1ms), timed_out);
  EXPECT_EQ(receiver.get(), 1);
  EXPECT_TRUE(sender.try_put(4));
  EXPECT_EQ(receiver.try_get(), 2);
  EXPECT_EQ(receiver.get(), 3);
  EXPECT_EQ(receiver.get(), 4);
  EXPECT_EQ(receiver.try_get(), std::nullopt);
  EXPECT_THROW(static_cast<void>(receiver.get(1ms)), timed_out);
  EXPECT_THROW(process_queue<int>(0), std::invalid_argument);
}

TEST(process_queue, carries_what_the_codec_carries) {
  auto [sender, receiver] = process_queue<std::vector<std::string>>(100);
  sender.put({"a", std::string(1000, 'b')});
  sender.put({});
  EXPECT_EQ(receiver.get().at(1).size(), 1000U);
  EXPECT_TRUE(receiver.get().empty());
  EXPECT_THROW(sender.put({std::string(20'000, 'c')}), error) << "larger than the whole queue";
}

TEST(process_queue, lets_waiters_go_when_it_is_closed_or_the_wait_is_cancelled) {
  auto [sender, receiver] = process_queue<int>(1);
  sender.put(1);
  std::thread putter([out = sender]() mutable { EXPECT_THROW(out.put(2, 60s), queue_closed); });
  receiver.close();
  putter.join();
  EXPECT_EQ(receiver.get(), 1) << "what is there can be drained";
  EXPECT_EQ(receiver.next(), std::nullopt);
  EXPECT_THROW(static_cast<void>(sender.try_put(3)), queue_closed);

  auto [other_sender, other_receiver] = process_queue<int>(1);
  cancellation_source source;
  std::thread getter([&, in = other_receiver]() mutable {
    EXPECT_THROW(static_cast<void>(in.get(source.token())), cancelled);
  });
  source.request_cancellation();
  getter.join();
}

TEST(process_queue, tells_a_putter_that_all_receivers_have_gone) {
  auto ends = std::make_unique<process_queue<int>>(1);
  queue_sender<int> sender = ends->sender;
  sender.put(1);
  ends.reset();
  EXPECT_THROW(sender.put(2, 60s), queue_closed);
}

TEST(process_queue, ends_although_a_call_that_was_taken_back_carried_its_sender) {
  process_pool pool({.workers = 1});
  auto [sender, receiver] = process_queue<sample>(1);
  process_queue<int> gate(1);
  auto wait_at = [](queue_receiver<int> in) { static_cast<void>(in.get(60s)); };
  auto busy = pool.submit(wait_at, gate.receiver);
  auto taken_back = pool.submit(async_produce, std::move(sender), 1, 1);
  ASSERT_TRUE(taken_back.cancel());
  EXPECT_THROW(taken_back.get(60s), cancelled);
  gate.sender.put(1);
  EXPECT_FALSE(receiver.next(60s));
  busy.get(60s);
}

TEST(process_queue, ends_although_its_consumer_was_submitted_among_short_calls_with_its_producer) {
  process_pool pool({.workers = 2});
  auto nothing = [] {};
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 50; ++i)
      pool.submit(nothing).get(60s); // from now on workers get some calls ahead
    auto [sender, receiver] = process_queue<sample>(4);
    process_queue<int> gate(1);
    auto wait_at = [](queue_receiver<int> in) { static_cast<void>(in.get(60s)); };
    auto count = pool.submit(consume, std::move(receiver));
    auto busy = pool.submit(wait_at, gate.receiver);
    auto work = pool.submit(produce, std::move(sender), 0, 10);
    gate.sender.put(1);
    EXPECT_EQ(count.get(60s), 10);
    work.get(60s);
    busy.get(60s);
  }
}

TEST(process_queue, is_awaited_from_a_loop) {
  process_pool pool({.workers = 1});
  auto all = [&]() -> task<std::int64_t> {
    auto [sender, receiver] = process_queue<sample>(4);
    auto work = pool.submit(produce, std::move(sender), 0, 500);
    const std::int64_t count = co_await async_consume(std::move(receiver));
    co_await std::move(work);
    co_return count;
  };
  EXPECT_EQ(run(timeout(60s, all())), 500);
}

TEST(process_queue, an_awaited_get_is_cancelled_by_its_time_limit) {
  auto [sender, receiver] = process_queue<int>(1);
  EXPECT_THROW(static_cast<void>(run(timeout(1ms, receiver.async_get()))), timed_out);
  sender.put(5);
  EXPECT_EQ(run(receiver.async_get()), 5);
}

TEST(process_queue, ends_when_the_last_sender_is_killed) {
  auto ends = std::make_unique<process_queue<int>>(10);
  queue_receiver<int> receiver = ends->receiver;
  forked_child child([&] {
    ends->sender.put(1);
    ::pause();
  });
  ends.reset();
  EXPECT_EQ(receiver.get(60s), 1);
  std::thread later([&] { child.kill(); });
  EXPECT_EQ(receiver.next(60s), std::nullopt);
  later.join();
}

TEST(process_queue, a_putter_may_be_killed_at_any_instruction) {
  if (under_thread_sanitizer || under_address_sanitizer)
    GTEST_SKIP() << "a sanitizer adds too many instructions to step through";
  auto [sender, receiver] = process_queue<sample>(8);
  auto& out = sender;
  auto& in = receiver;
  out.put({.source = 1});
  const auto put = [&] { out.put({.source = 99}); };
  const auto check = [&] {
    out.put({.source = 2}, 30s);
    ASSERT_EQ(in.get(30s).source, 1);
    std::int64_t next = in.get(30s).source;
    if (next == 99)
      next = in.get(30s).source;
    ASSERT_EQ(next, 2);
    ASSERT_FALSE(in.try_get());
    out.put({.source = 1}, 30s);
  };
  if (!test::kill_everywhere(put, check))
    GTEST_SKIP() << "this system allows no tracing";
}

TEST(process_queue, a_getter_may_be_killed_at_any_instruction) {
  if (under_thread_sanitizer || under_address_sanitizer)
    GTEST_SKIP() << "a sanitizer adds too many instructions to step through";
  auto [sender, receiver] = process_queue<sample>(2);
  auto& out = sender;
  auto& in = receiver;
  out.put({.source = 1});
  out.put({.source = 2});
  const auto get = [&] { static_cast<void>(in.get()); };
  const auto check = [&] {
    std::int64_t first = in.get(30s).source;
    if (first == 1)
      first = in.get(30s).source;
    ASSERT_EQ(first, 2);
    ASSERT_FALSE(in.try_get());
    out.put({.source = 1}, 30s);
    out.put({.source = 2}, 30s);
  };
  if (!test::kill_everywhere(get, check))
    GTEST_SKIP() << "this system allows no tracing";
}

TEST(process_queue, loses_at_most_an_item_for_each_user_killed) {
  auto [sender, receiver] = process_queue<sample>(4);
  auto& out = sender;
  auto& in = receiver;
  std::mt19937 random(2);
  for (int round = 0; round < 30; ++round) {
    forked_child producer([&] {
      for (std::int64_t i = 0;; ++i)
        out.put({.source = 7, .number = i});
    });
    forked_child consumer([&] {
      for (;;)
        static_cast<void>(in.get());
    });
    std::int64_t last = -1;
    for (auto left = 1 + random() % 50; left > 0; --left) {
      const sample item = in.get(60s);
      ASSERT_GT(item.number, last);
      last = item.number;
    }
    (round % 2 == 0 ? producer : consumer).kill();
    (round % 2 == 0 ? consumer : producer).kill();
    while (in.try_get()) {
    }
    for (std::int64_t i = 0; i < 4; ++i)
      out.put({.source = 8, .number = i}, 60s);
    for (std::int64_t i = 0; i < 4; ++i)
      ASSERT_EQ(in.get(60s).number, i);
  }
}

TEST(process_queue, refuses_garbage_in_its_memory) {
  auto ends = detail::queue_end::make(1024, 0);
  const std::array<std::byte, 16> item{};
  const auto put = [&] { return ends[0].ring().try_put(item, {}); };
  byte_buffer into;
  ASSERT_TRUE(put());
  auto& header = ends[0].ring().header();
  header.written = 8;
  header.written_seen = 0;
  EXPECT_THROW(static_cast<void>(ends[1].ring().try_get(into, {})), decode_error);
  header.written = 1 << 20;
  header.written_seen = 0;
  EXPECT_THROW(static_cast<void>(ends[1].ring().try_get(into, {})), decode_error);
  header.read_seen = 0;
  EXPECT_THROW(static_cast<void>(put()), decode_error);
  EXPECT_TRUE(into.empty());
}

TEST(process_pipe, carries_values_both_ways_until_the_other_end_has_gone) {
  process_pool pool({.workers = 1});
  auto [here, there] = process_pipe::make();
  auto serve = [](process_pipe pipe) {
    while (const auto request = pipe.receive<std::tuple<int, std::string>>(60s))
      pipe.send(std::get<1>(*request) + "!", std::get<0>(*request) + 1);
  };
  std::optional<process_pipe> mine = here;
  auto work = pool.submit(serve, std::move(there));
  for (int i = 0; i < 100; ++i) {
    mine->send(i, std::string("message"));
    const auto reply = mine->receive<std::tuple<std::string, int>>(60s);
    ASSERT_TRUE(reply);
    EXPECT_EQ(std::get<0>(*reply), "message!");
    EXPECT_EQ(std::get<1>(*reply), i + 1);
  }
  mine.reset();
  {
    const process_pipe last = std::move(here);
  }
  work.get(60s);
}

TEST(process_pipe, carries_large_messages_and_shared_memory) {
  auto [here, there] = process_pipe::make();
  here.send(std::string(1'000'000, 'x'), shared_vector<int>(10, 3));
  auto received = there.receive<std::tuple<std::string, shared_vector<int>>>(60s);
  ASSERT_TRUE(received);
  EXPECT_EQ(std::get<0>(*received).size(), 1'000'000U);
  EXPECT_EQ(std::get<1>(*received)[9], 3);
}

TEST(process_pipe, is_at_its_end_when_the_process_at_the_other_is_killed) {
  process_pool pool({.workers = 1});
  auto ends = std::make_unique<std::pair<process_pipe, process_pipe>>(process_pipe::make());
  process_pipe here = ends->first;
  auto die = [](process_pipe pipe) {
    pipe.send(1);
    ::raise(SIGKILL);
  };
  auto work = pool.submit(die, std::move(ends->second));
  ends.reset();
  EXPECT_EQ(here.receive<int>(60s), 1);
  EXPECT_THROW(work.get(60s), worker_died);
  EXPECT_EQ(here.receive<int>(60s), std::nullopt);
  EXPECT_THROW(here.send(2), queue_closed);
}

TEST(process_pipe, waits_for_room_and_for_messages_on_a_loop) {
  auto [here, there] = process_pipe::make();
  const std::string large(30'000, 'y');
  auto fill = [&]() -> task<> {
    for (int i = 0; i < 200; ++i)
      co_await here.async_send(large, i);
  };
  auto drain = [&]() -> task<> {
    for (int i = 0; i < 200; ++i) {
      const auto message = co_await there.async_receive<std::tuple<std::string, int>>();
      EXPECT_EQ(std::get<1>(message.value()), i);
    }
  };
  auto both = [&]() -> task<> {
    auto group = [&](task_group& g) -> task<> {
      g.spawn(fill());
      g.spawn(drain());
      co_return;
    };
    co_await with_task_group(group);
  };
  run(timeout(60s, both()));
}

TEST(process_pipe, gives_up_at_the_time_limit_and_when_cancelled) {
  auto [here, there] = process_pipe::make();
  EXPECT_THROW(static_cast<void>(here.receive<int>(1ms)), timed_out);
  cancellation_source source;
  std::thread waiting([&, end = here]() mutable {
    EXPECT_THROW(static_cast<void>(end.receive<int>(source.token())), cancelled);
  });
  source.request_cancellation();
  waiting.join();
  EXPECT_THROW(
      {
        for (;;)
          here.send_within(1ms, std::string(30'000, 'z'));
      },
      timed_out);
  EXPECT_THROW(static_cast<void>(run(timeout(1ms, here.async_receive<int>()))), timed_out);
}

TEST(process_pipe, refuses_what_is_not_the_type) {
  auto [here, there] = process_pipe::make();
  here.send(1);
  EXPECT_THROW(static_cast<void>(there.receive<std::string>()), decode_error);
}

} // namespace
} // namespace fourfold
