#include <fourfold/base/errors.hpp>
#include <fourfold/sync/lock_scope.hpp>
#include <fourfold/sync/mutex.hpp>

#include <gtest/gtest.h>

#include <chrono>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

TEST(lock_scope, holds_the_mutex_until_its_end_and_gives_up_at_its_limit) {
  mutex m;
  {
    const lock_scope held(m);
    EXPECT_FALSE(m.try_lock());
    EXPECT_THROW(lock_scope(m, 1ms), timed_out);
    cancellation_source source;
    source.request_cancellation();
    EXPECT_THROW(lock_scope(m, source.token()), cancelled);
  }
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

} // namespace
} // namespace fourfold
