#pragma once

#include <fourfold/base/thread_annotations.hpp>
#include <fourfold/base/wait_limit.hpp>

namespace fourfold {

/// Holds a mutex or a recursive_mutex from its construction to its destruction, on a thread. Beyond what
/// std::lock_guard does, it takes a limit, and clang's thread safety analysis knows it.
///
///   const lock_scope held(m);
///   const lock_scope held(m, {100ms, token});      // throws timed_out or cancelled, and then holds nothing
///
/// Cancellation-aware: yes. Resumes: the thread. Threads: the one that made it. The mutex must outlive it.
template <class Mutex>
class FOURFOLD_SCOPED_CAPABILITY lock_scope {
 public:
  explicit lock_scope(Mutex& m) FOURFOLD_ACQUIRE(m) : mutex_(m) { m.lock(); }
  lock_scope(Mutex& m, const wait_limit& limit) FOURFOLD_ACQUIRE(m) : mutex_(m) { m.lock(limit); }
  ~lock_scope() FOURFOLD_RELEASE() { mutex_.unlock(); }
  lock_scope(const lock_scope&) = delete;
  lock_scope& operator=(const lock_scope&) = delete;

 private:
  Mutex& mutex_;
};

} // namespace fourfold
