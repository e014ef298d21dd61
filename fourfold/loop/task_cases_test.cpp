#include <fourfold/base/errors.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/waiting_test.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <utility>

namespace fourfold {
namespace {

/// What became of the objects of one test.
struct tally {
  int copies = 0;
  int moves = 0;
  int alive = 0;
};

/// Neither default-constructible nor assignable, and counted.
class counted {
 public:
  explicit counted(tally& t) noexcept : tally_(&t) { ++tally_->alive; }
  counted(const counted& other) noexcept : tally_(other.tally_) {
    ++tally_->copies;
    ++tally_->alive;
  }
  counted(counted&& other) noexcept : tally_(other.tally_) {
    ++tally_->moves;
    ++tally_->alive;
  }
  counted& operator=(const counted&) = delete;
  ~counted() { --tally_->alive; }

 private:
  tally* tally_;
};

task<counted> make_counted(tally& t) {
  co_await yield();
  co_return counted(t);
}

task<int> take_counted(counted) {
  co_await yield();
  co_return 1;
}

TEST(task, result_is_never_copied_and_every_object_of_it_is_destroyed) {
  auto body = [](tally& t) -> task<> {
    {
      const counted result = co_await make_counted(t);
      EXPECT_GE(t.alive, 1);
    }
    EXPECT_EQ(t.alive, 0);
  };
  tally t;
  run(body(t));
  EXPECT_EQ(t.copies, 0);
  EXPECT_LE(t.moves, 2) << "into the promise, and out of it";
  static_cast<void>(run(make_counted(t)));
  EXPECT_EQ(t.copies, 0);
  EXPECT_EQ(t.alive, 0);
}

TEST(task, result_that_nobody_takes_is_destroyed) {
  auto body = [](tally& t) -> task<> {
    {
      future<counted> kept = spawn(make_counted(t));
      co_await test::let_others_run();
      EXPECT_TRUE(kept.ready());
      EXPECT_EQ(t.alive, 1);
    }
    EXPECT_EQ(t.alive, 0);
    spawn(make_counted(t));
    co_await test::let_others_run();
    EXPECT_EQ(t.alive, 0);
  };
  tally t;
  run(body(t));
  EXPECT_GE(t.moves, 2);
}

TEST(task, argument_by_value_is_moved_into_the_frame_once_and_goes_with_it) {
  tally t;
  {
    task<int> work = take_counted(counted(t));
    EXPECT_EQ(t.moves, 1);
    EXPECT_EQ(t.alive, 1);
    EXPECT_EQ(run(std::move(work)), 1);
  }
  EXPECT_EQ(t.moves, 1);
  loop l;
  auto f = l.submit(take_counted, counted(t));
  l.run(test::let_others_run());
  EXPECT_EQ(f.get(), 1);
  EXPECT_EQ(t.copies, 0);
  EXPECT_EQ(t.alive, 0);
}

TEST(task, exception_of_making_the_result_reaches_the_awaiter) {
  struct refuses_negatives {
    explicit refuses_negatives(int n) {
      if (n < 0)
        throw std::invalid_argument("negative");
    }
  };
  auto make = [](int n) -> task<refuses_negatives> { co_return n; };
  auto body = [](auto& work) -> task<> {
    co_await work(1);
    try {
      co_await work(-1);
      ADD_FAILURE();
    } catch (const std::invalid_argument&) {
    }
  };
  run(body(make));
  EXPECT_THROW(run(make(-2)), std::invalid_argument);
}

TEST(task, exception_that_is_no_std_exception_reaches_the_awaiter) {
  auto fail = []() -> task<> {
    co_await yield();
    throw 7;
  };
  auto body = [](auto& work) -> task<int> {
    try {
      co_await work();
    } catch (int thrown) {
      co_return thrown;
    }
    co_return 0;
  };
  EXPECT_EQ(run(body(fail)), 7);
  EXPECT_THROW(run(fail()), int);
}

} // namespace
} // namespace fourfold
