#include <fourfold/base/errors.hpp>

#include <gtest/gtest.h>

#include <csignal>
#include <string>

namespace fourfold {
namespace {

TEST(errors, interruption_names_its_signal_and_is_a_cancellation) {
  const interrupted interruption(SIGINT);
  EXPECT_STREQ(interruption.what(), "interrupted by signal 2 (SIGINT)");
  EXPECT_EQ(interruption.signal(), SIGINT);
  EXPECT_THROW(throw interruption, cancelled);
}

TEST(errors, worker_killed_by_a_signal_names_pid_task_and_signal) {
  const worker_died death(4711, SIGKILL, 0, 12);
  EXPECT_STREQ(death.what(), "worker process 4711 running task 12 was killed by signal 9 (SIGKILL)");
  EXPECT_EQ(death.pid(), 4711);
  EXPECT_EQ(death.signal(), SIGKILL);
  EXPECT_EQ(death.task_id(), 12U);
}

TEST(errors, worker_that_exited_names_pid_task_and_status) {
  const worker_died death(4711, 0, 3, 1);
  EXPECT_STREQ(death.what(), "worker process 4711 running task 1 exited with status 3");
  EXPECT_EQ(death.signal(), 0);
  EXPECT_EQ(death.exit_code(), 3);
}

TEST(errors, signal_without_a_name_is_still_named_by_its_number) {
  EXPECT_STREQ(worker_died(1, 40, 0, 2).what(), "worker process 1 running task 2 was killed by signal 40");
}

TEST(errors, remote_error_keeps_type_and_message) {
  const remote_error failure("std::out_of_range", "index 7");
  EXPECT_STREQ(failure.what(), "std::out_of_range: index 7");
  EXPECT_EQ(failure.type_name(), "std::out_of_range");
  EXPECT_EQ(failure.message(), "index 7");
  EXPECT_STREQ(remote_error("int", "").what(), "int");
}

TEST(errors, all_derive_from_error_and_say_something) {
  const cancelled a;
  const timed_out b;
  const queue_closed c;
  const pool_closed d;
  const broken_promise e;
  const wrong_thread f("no loop");
  const released_too_often g("semaphore");
  const decode_error h("too short");
  const worker_died i(1, 9, 0, 1);
  const remote_error j("type", "text");
  for (const error* each :
       {static_cast<const error*>(&a), static_cast<const error*>(&b), static_cast<const error*>(&c),
        static_cast<const error*>(&d), static_cast<const error*>(&e), static_cast<const error*>(&f),
        static_cast<const error*>(&g), static_cast<const error*>(&h), static_cast<const error*>(&i),
        static_cast<const error*>(&j)}) {
    EXPECT_FALSE(std::string(each->what()).empty());
  }
}

} // namespace
} // namespace fourfold
