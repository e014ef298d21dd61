#pragma once

/// \file
/// What clang's thread safety analysis (`-Wthread-safety`) is told of locks and of what they guard, at compile
/// time; nothing with other compilers.
///
///   fourfold::mutex m;
///   long balance FOURFOLD_GUARDED_BY(m);                  // touched without m: a warning
///   void pay(long amount) FOURFOLD_REQUIRES(m);           // called without m: a warning
///
/// They are macros because clang has no other spelling for them. The analysis follows `lock()`, `unlock()` and
/// `lock_scope`. It cannot follow the guards of libstdc++, which are not annotated, nor a lock that is awaited;
/// a coroutine that uses such data says FOURFOLD_NO_THREAD_SAFETY_ANALYSIS.

#if defined(__clang__)
#define FOURFOLD_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define FOURFOLD_THREAD_ANNOTATION(x)
#endif

/// A class: it is a lock.
#define FOURFOLD_CAPABILITY(name) FOURFOLD_THREAD_ANNOTATION(capability(name))
/// A class: it holds a lock from its construction to its destruction.
#define FOURFOLD_SCOPED_CAPABILITY FOURFOLD_THREAD_ANNOTATION(scoped_lockable)
/// A variable, or what a pointer points to: only touched with the lock held.
#define FOURFOLD_GUARDED_BY(lock) FOURFOLD_THREAD_ANNOTATION(guarded_by(lock))
#define FOURFOLD_POINTEE_GUARDED_BY(lock) FOURFOLD_THREAD_ANNOTATION(pt_guarded_by(lock))
/// A function: only called with the locks held, or with none of them held.
#define FOURFOLD_REQUIRES(...) FOURFOLD_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define FOURFOLD_EXCLUDES(...) FOURFOLD_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
/// A function: it locks, unlocks, or locks if it returns the first argument. Without a lock named: its object.
#define FOURFOLD_ACQUIRE(...) FOURFOLD_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define FOURFOLD_RELEASE(...) FOURFOLD_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define FOURFOLD_TRY_ACQUIRE(...) FOURFOLD_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
/// A function: not looked at.
#define FOURFOLD_NO_THREAD_SAFETY_ANALYSIS FOURFOLD_THREAD_ANNOTATION(no_thread_safety_analysis)
