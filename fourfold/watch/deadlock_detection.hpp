#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace fourfold {

class wait_observer;
namespace detail {
class wait_graph;
}

/// What is done about a deadlock, besides finding it.
enum class on_deadlock : std::uint8_t {
  report,      ///< the report goes to the handler; the program hangs as it would have
  throw_error, ///< who came last of those that can be given one gets `deadlock` in place of its wait
  abort,       ///< the report goes to the handler, and the program aborts, with its core
};

struct deadlock_options {
  on_deadlock action = on_deadlock::report;
  /// Gets each report, a text of several lines; without one it goes to standard error. Called by who closed the
  /// circle, one at a time or not; it may use this library, must not throw, and must not end the detection.
  std::function<void(std::string_view report)> handler = {};
  /// How often in a row two parties may fail at try_lock() because of one another before that is called a livelock.
  std::uint64_t vain_attempts = 1000;
  /// How often a thread of its own looks for what shows only by lasting, and for how long that must have lasted; zero:
  /// never.
  std::chrono::milliseconds look_every{1000};
};

/// Finds deadlocks in the whole program while it lives.
///
///   deadlock_detection watching({.action = on_deadlock::throw_error});
///
/// or, without a line of code, FOURFOLD_DEADLOCKS=report (or throw, or abort) in the environment. It reports
///
/// - a deadlock, when it closes: parties (threads and tasks, mixed) each of which waits for what the next one has: a
///   mutex that it holds, the result of a call or a task group that it works at. Every party is named, with what it
///   holds, what it waits for, since when, and where;
/// - an inversion of lock orders, the first time that both orders were seen, even if nothing hung: the first one that
///   waited for b while it held a, and the first one that waited for a while it held b. Three and more locks too;
/// - a livelock: parties that fail at try_lock() because of one another, again and again, without one success;
/// - a likely deadlock: parties that wait for one another in a circle that leads through queues, because nobody but
///   they has used those so far, for `look_every` at least. At least one of them waits for room in a full queue, or for
///   a lock: where all wait for items, that is how idle programs look. Never thrown and no reason to abort, because
///   somebody may come who has not used the queue yet;
/// - a standstill: every thread of the program waits without a limit, in this library or in another one's locks and
///   joins, and every loop without a timer or a descriptor. It covers what circles cannot: empty queues, events,
///   semaphores and promises, of which nobody knows who could serve them. It is found within some `look_every`, and
///   never thrown, for everybody is parked by then.
///
/// A deadlock is believed at once if each mutex in it was unlocked before, at some time, by one who had locked it. Else
/// it must last for `look_every`, because such a lock may have been passed on to somebody who is about to unlock it.
///
/// What it does not report: a wait with a time limit, around it or its own, because that ends; orders made by try_lock
/// or with a limit; orders that a third lock, always held, keeps apart; a mutex that somebody has unlocked who had not
/// locked it, from then on. What it cannot know: who will set an event, release a semaphore, put into an empty queue,
/// or fulfil a `promise`; so those who wait for such things in a circle are found only when all else stands still,
/// too. And a handler that the program has installed for a signal might end a standstill.
///
/// Orders are those of the locks themselves and not of the places that created them, because two locks of one place,
/// or of two, may well be ordered by their addresses. The place is named in the report, if it was created while this
/// was on.
///
/// (1) Nothing waits here. (2) - (3) Any thread. One at a time is on; a second one takes the first one's place until
/// it ends, last come, first gone. (4) The end may come while others wait; they are told of no more.
///
/// Bad at: speed. Each acquisition and each wait takes one lock of the whole program and walks its own stack. Off, each
/// costs a load and a branch (docs/design/wait-for-graph.md).
class deadlock_detection {
 public:
  explicit deadlock_detection(deadlock_options options = {});
  ~deadlock_detection();
  deadlock_detection(const deadlock_detection&) = delete;
  deadlock_detection& operator=(const deadlock_detection&) = delete;

  struct counts {
    std::uint64_t deadlocks = 0;
    std::uint64_t inversions = 0;
    std::uint64_t livelocks = 0;
    std::uint64_t standstills = 0;
    std::uint64_t stuck_users = 0;
  };
  /// How many of each were found so far.
  [[nodiscard]] counts found() const;

 private:
  std::unique_ptr<detail::wait_graph> graph_;
  wait_observer* before_;
};

} // namespace fourfold
