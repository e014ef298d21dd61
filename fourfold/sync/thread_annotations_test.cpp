// What clang's thread safety analysis accepts and what it finds. Ordinary builds only run this; scripts/check-annotations
// compiles it with the analysis on and compares its warnings with the comments that expect them.

#include <fourfold/base/thread_annotations.hpp>
#include <fourfold/sync/lock_scope.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/recursive_mutex.hpp>

#include <gtest/gtest.h>

#include <chrono>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

template <class Mutex>
struct account {
  Mutex m;
  long balance FOURFOLD_GUARDED_BY(m) = 0;

  void pay(long amount) FOURFOLD_REQUIRES(m) { balance += amount; }
};

template <class Mutex>
void use_as_intended(account<Mutex>& a) {
  {
    const lock_scope held(a.m);
    ++a.balance;
    a.pay(1);
  }
  {
    const lock_scope held(a.m, 1h);
    ++a.balance;
  }
  if (a.m.try_lock()) {
    ++a.balance;
    a.m.unlock();
  }
  if (a.m.try_lock_for(1h)) {
    ++a.balance;
    a.m.unlock();
  }
  a.m.lock();
  ++a.balance;
  a.m.unlock();
}

void misuse_mutex(account<mutex>& a) {
  ++a.balance; // expected-warning {{writing variable 'balance' requires holding mutex 'a.m' exclusively}}
  a.pay(1);    // expected-warning {{calling function 'pay' requires holding mutex 'a.m' exclusively}}
  if (!a.m.try_lock())
    return;
  ++a.balance;
  a.m.unlock();
  ++a.balance; // expected-warning {{writing variable 'balance' requires holding mutex 'a.m' exclusively}}
}

void misuse_recursive_mutex(account<recursive_mutex>& a) {
  ++a.balance; // expected-warning {{writing variable 'balance' requires holding recursive_mutex 'a.m' exclusively}}
}

void forget_to_unlock(account<mutex>& a) {
  a.m.lock(); // expected-note {{mutex acquired here}}
  ++a.balance;
} // expected-warning {{mutex 'a.m' is still held at the end of function}}

bool is_locked(mutex& m) FOURFOLD_NO_THREAD_SAFETY_ANALYSIS { return !m.try_lock(); }

TEST(thread_annotations, change_nothing_at_run_time) {
  account<mutex> a;
  account<recursive_mutex> b;
  use_as_intended(a);
  use_as_intended(b);
  misuse_mutex(a); // nobody else is here
  misuse_recursive_mutex(b);
  forget_to_unlock(a);
  EXPECT_TRUE(is_locked(a.m));
}

} // namespace
} // namespace fourfold
