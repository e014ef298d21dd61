#pragma once

#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/base/misuse.hpp>
#include <fourfold/base/small_lock.hpp>
#include <fourfold/sync/wait_list.hpp>

#include <cstddef>
#include <deque>
#include <limits>
#include <mutex>
#include <optional>
#include <utility>

namespace fourfold {

/// A first-in-first-out queue between any number of producers and consumers, threads and coroutines alike.
/// With a capacity, producers wait while it is full (back-pressure); capacity 0 is a rendezvous: each item
/// goes from hand to hand.
///
///   queue<int> q(5);
///   q.put(1);  co_await q.async_put(2);             // waits while 5 are in it
///   int i = q.get(100ms);                           // throws timed_out; queue_closed when closed and drained
///   while (auto item = co_await q.async_next()) …   // until closed and drained
///   q.close();                                      // producers get queue_closed, consumers drain the rest
///
/// Waiters are served first come, first served. An operation that throws had no effect: an item not put is
/// still the caller's if it was passed as an lvalue reference to `try_put`, and is destroyed with the call
/// otherwise.
///
/// Cancellation-aware: yes, all forms. Resumes: a coroutine on its own loop. Threads: any. Destruction while
/// somebody waits is misuse and aborts. `T`'s move constructor runs under an internal lock: it must not use
/// the queue.
template <class T>
class queue final : private parking_place {
 public:
  static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

  explicit queue(std::size_t capacity = unbounded) : capacity_(capacity) {}
  queue(const queue&) = delete;
  queue& operator=(const queue&) = delete;
  ~queue() {
    lock_.lock();
    if (!getters_.empty() || !putters_.empty())
      misuse("a queue was destroyed while somebody waits on it");
  }

  /// Puts the item, waiting for room. Throws `queue_closed`, `timed_out` or `cancelled`.
  void put(T item, const wait_limit& limit = {}) {
    wait_blocking(put_operation{*this, std::move(item)}, limit);
  }
  [[nodiscard]] auto async_put(T item) { return awaitable_operation(put_operation{*this, std::move(item)}); }
  /// Puts the item if there is room now, and else leaves it untouched. Throws `queue_closed`.
  [[nodiscard]] bool try_put(T& item);
  [[nodiscard]] bool try_put(T&& item) { return try_put(item); }

  /// The oldest item, waiting for one. Throws `queue_closed` when it is closed and drained, `timed_out`,
  /// `cancelled`.
  T get(const wait_limit& limit = {}) { return wait_blocking(get_operation{*this, {}}, limit); }
  [[nodiscard]] auto async_get() { return awaitable_operation(get_operation{*this, {}}); }
  /// The same, with an empty optional for "closed and drained".
  std::optional<T> next(const wait_limit& limit = {}) {
    return wait_blocking(next_operation{{*this, {}}}, limit);
  }
  [[nodiscard]] auto async_next() { return awaitable_operation(next_operation{{*this, {}}}); }
  /// The oldest item if there is one now.
  [[nodiscard]] std::optional<T> try_get();

  /// No more items: every waiting producer, and every later one, gets `queue_closed`; consumers drain what is
  /// there.
  void close() noexcept;
  [[nodiscard]] bool closed() const;
  /// How many items are in it; only a hint while others use it.
  [[nodiscard]] std::size_t size() const;

 private:
  struct put_operation {
    queue& self;
    T item;
    bool try_now() { return self.try_put(item); }
    bool park(waiter& w) { return self.park_putter(w, item); }
    parking_place& place() noexcept { return self; }
    void result(wake_reason reason) {
      if (reason == wake_reason::closed)
        throw queue_closed();
    }
  };
  struct get_operation {
    queue& self;
    std::optional<T> item;
    bool try_now() { return self.take(item); }
    bool park(waiter& w) { return self.park_getter(w, item); }
    parking_place& place() noexcept { return self; }
    T result(wake_reason) {
      if (!item)
        throw queue_closed();
      return std::move(*item);
    }
  };
  struct next_operation : get_operation {
    std::optional<T> result(wake_reason) { return std::move(this->item); }
  };

  bool withdraw(waiter& w) noexcept override;
  /// True when `item` was filled, or the queue is closed and drained.
  bool take(std::optional<T>& item);
  bool park_putter(waiter& w, T& item);
  bool park_getter(waiter& w, std::optional<T>& item);

  // All below need lock_. A waiter they return was taken out and is to be woken after leaving the lock.
  bool put_locked(T& item, waiter*& to_wake);
  bool take_locked(std::optional<T>& item, waiter*& to_wake);

  const std::size_t capacity_;
  mutable small_lock lock_;
  bool closed_ = false;
  std::deque<T> items_;
  // Getters wait only while there are no items and no putters; putters while it is full, or while their item could
  // not be moved in; argument: their item.
  intrusive_list<waiter> getters_;
  intrusive_list<waiter> putters_;
};

template <class T>
bool queue<T>::put_locked(T& item, waiter*& to_wake) {
  if (closed_)
    throw queue_closed();
  if (!getters_.empty()) {
    waiter& getter = getters_.front();
    static_cast<std::optional<T>*>(getter.argument)->emplace(std::move(item));
    getter.unlink();
    to_wake = &getter;
    return true;
  }
  // Also behind a producer that still waits because its item could not be moved in when there was room.
  if (items_.size() >= capacity_ || !putters_.empty())
    return false;
  items_.push_back(std::move(item));
  return true;
}

template <class T>
bool queue<T>::take_locked(std::optional<T>& item, waiter*& to_wake) {
  if (!items_.empty()) {
    item.emplace(std::move(items_.front()));
    items_.pop_front();
    if (putters_.empty())
      return true;
    // The room goes to the oldest waiting producer. If its item cannot be moved in, that error must not lose
    // ours: it stays parked, and the next take tries again.
    waiter& putter = putters_.front();
    try {
      items_.push_back(std::move(*static_cast<T*>(putter.argument)));
    } catch (...) {
      return true;
    }
    putter.unlink();
    to_wake = &putter;
    return true;
  }
  if (!putters_.empty()) { // capacity 0: from hand to hand
    waiter& putter = putters_.front();
    item.emplace(std::move(*static_cast<T*>(putter.argument)));
    putter.unlink();
    to_wake = &putter;
    return true;
  }
  return closed_;
}

template <class T>
bool queue<T>::try_put(T& item) {
  waiter* to_wake = nullptr;
  {
    const std::lock_guard guard(lock_);
    if (!put_locked(item, to_wake))
      return false;
  }
  if (to_wake != nullptr)
    to_wake->wake();
  return true;
}

template <class T>
bool queue<T>::take(std::optional<T>& item) {
  waiter* to_wake = nullptr;
  {
    const std::lock_guard guard(lock_);
    if (!take_locked(item, to_wake))
      return false;
  }
  if (to_wake != nullptr)
    to_wake->wake();
  return true;
}

template <class T>
std::optional<T> queue<T>::try_get() {
  std::optional<T> item;
  take(item);
  return item;
}

template <class T>
bool queue<T>::park_putter(waiter& w, T& item) {
  waiter* to_wake = nullptr;
  {
    const std::lock_guard guard(lock_);
    if (!put_locked(item, to_wake)) {
      w.argument = &item;
      putters_.push_back(w);
      return true;
    }
  }
  if (to_wake != nullptr)
    to_wake->wake();
  return false;
}

template <class T>
bool queue<T>::park_getter(waiter& w, std::optional<T>& item) {
  waiter* to_wake = nullptr;
  {
    const std::lock_guard guard(lock_);
    if (!take_locked(item, to_wake)) {
      w.argument = &item;
      getters_.push_back(w);
      return true;
    }
  }
  if (to_wake != nullptr)
    to_wake->wake();
  return false;
}

template <class T>
bool queue<T>::withdraw(waiter& w) noexcept {
  const std::lock_guard guard(lock_);
  if (!w.linked())
    return false;
  w.unlink();
  return true;
}

template <class T>
void queue<T>::close() noexcept {
  taken_waiters ended;
  {
    const std::lock_guard guard(lock_);
    closed_ = true;
    ended.take_all(getters_);
    ended.take_all(putters_);
  }
  ended.wake_all(wake_reason::closed);
}

template <class T>
bool queue<T>::closed() const {
  const std::lock_guard guard(lock_);
  return closed_;
}

template <class T>
std::size_t queue<T>::size() const {
  const std::lock_guard guard(lock_);
  return items_.size();
}

} // namespace fourfold
