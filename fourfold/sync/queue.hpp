#pragma once

#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/base/misuse.hpp>
#include <fourfold/base/small_lock.hpp>
#include <fourfold/sync/queue_order.hpp>
#include <fourfold/sync/wait_list.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {

/// A queue between any number of producers and consumers, threads and coroutines alike. It gives the items in
/// `Order`: `fifo`, `lifo` or `by_priority<Compare>`. With a capacity, producers wait while it is full
/// (back-pressure); capacity 0 is a rendezvous: each item goes from hand to hand.
///
///   queue<int> q(5);                                // lifo_queue<int>, priority_queue<job, by_deadline>
///   q.put(1);  co_await q.async_put(2);             // waits while 5 are in it
///   int i = q.get(100ms);                           // throws timed_out; queue_closed when closed and drained
///   while (auto item = co_await q.async_next()) …   // until closed and drained
///   q.close();                                      // producers get queue_closed, consumers drain the rest
///
/// Waiters are served first come, first served, in every order: the order is that of the items inside. An
/// operation that throws had no effect: an item not put is still the caller's if it was passed as an lvalue
/// reference to `try_put` or in a span to `put_all`, and is destroyed with the call otherwise.
///
/// Cancellation-aware: yes, all forms. Resumes: a coroutine on its own loop. Threads: any. Destruction while
/// somebody waits is misuse and aborts. `T`'s move constructor and `Compare` run under an internal lock: they must
/// not use the queue. 160 bytes and its items. Bad at: very long batches, which keep that lock for as long.
template <class T, class Order = fifo>
class queue final : private parking_place {
 public:
  static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

  explicit queue(std::size_t capacity = unbounded) : capacity_(capacity) {}
  queue(const queue&) = delete;
  queue& operator=(const queue&) = delete;
  ~queue() {
    // Before the lock: the observer may be about to withdraw somebody.
    tell_wait_observer(&wait_observer::gone, resource());
    lock_.lock();
    if (!getters_.empty() || !putters_.empty() || !joiners_.empty())
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
  /// Puts all `items`, in order, waiting for room as often as needed; nobody else's come between those that
  /// wait. `items` becomes what is not put yet: nothing on return, and the rest when it throws `queue_closed`,
  /// `timed_out` or `cancelled`. Those put are moved from.
  void put_all(std::span<T>& items, const wait_limit& limit = {}) {
    wait_blocking(put_all_operation{*this, items}, limit);
  }
  [[nodiscard]] auto async_put_all(std::span<T>& items) {
    return awaitable_operation(put_all_operation{*this, items});
  }

  /// The next item, waiting for one. Throws `queue_closed` when it is closed and drained, `timed_out`,
  /// `cancelled`.
  T get(const wait_limit& limit = {}) { return wait_blocking(get_operation{*this, {}}, limit); }
  [[nodiscard]] auto async_get() { return awaitable_operation(get_operation{*this, {}}); }
  /// The same, with an empty optional for "closed and drained".
  std::optional<T> next(const wait_limit& limit = {}) {
    return wait_blocking(next_operation{{*this, {}}}, limit);
  }
  [[nodiscard]] auto async_next() { return awaitable_operation(next_operation{{*this, {}}}); }
  /// The next item if there is one now.
  [[nodiscard]] std::optional<T> try_get();
  /// Waits for an item, and takes what is there then, at most `most` items. Empty when closed and
  /// drained. Throws `timed_out`, `cancelled`, and std::invalid_argument for 0.
  std::vector<T> get_some(std::size_t most, const wait_limit& limit = {}) {
    return wait_blocking(get_some_operation(*this, most), limit);
  }
  [[nodiscard]] auto async_get_some(std::size_t most) {
    return awaitable_operation(get_some_operation(*this, most));
  }

  /// No more items: every waiting producer, and every later one, gets `queue_closed`; consumers drain what is
  /// there.
  void close() noexcept;
  [[nodiscard]] bool closed() const;
  /// How many items are in it; only a hint while others use it.
  [[nodiscard]] std::size_t size() const;

  /// Says that the work on `items` items is done, for join(). Throws `released_too_often`, changing nothing, if
  /// so many were not put.
  void task_done(std::size_t items = 1);
  /// Waits until task_done() was called for every item ever put. Throws `timed_out` or `cancelled`.
  void join(const wait_limit& limit = {}) { wait_blocking(join_operation{*this}, limit); }
  [[nodiscard]] auto async_join() noexcept { return awaitable_operation(join_operation{*this}); }

 private:
  struct put_operation {
    queue& self;
    T item;
    std::span<T> left{};
    bool try_now() { return self.try_put(item); }
    bool park(waiter& w) {
      left = {&item, 1};
      return self.park_putter(w, left);
    }
    parking_place& place() noexcept { return self; }
    void result(wake_reason reason) const { require_open(reason); }
  };
  struct put_all_operation {
    queue& self;
    std::span<T>& left;
    bool try_now() const { return self.put_now(left); }
    bool park(waiter& w) const { return self.park_putter(w, left); }
    parking_place& place() const noexcept { return self; }
    void result(wake_reason reason) const { require_open(reason); }
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
  struct get_some_operation {
    queue& self;
    std::size_t most;
    std::vector<T> items{};
    std::optional<T> first{};
    get_some_operation(queue& q, std::size_t n) : self(q), most(n) {
      if (n == 0)
        throw std::invalid_argument("queue: get_some() of no items");
    }
    bool try_now() { return self.take_some(items, most); }
    bool park(waiter& w) {
      items.reserve(1); // what is handed over must not be lost for lack of memory
      return self.park_getter(w, first);
    }
    parking_place& place() noexcept { return self; }
    std::vector<T> result(wake_reason) {
      if (first) {
        items.push_back(std::move(*first));
        if constexpr (std::is_nothrow_move_constructible_v<T>) // else making room could lose the first
          self.take_some(items, most);
      }
      return std::move(items);
    }
  };
  struct join_operation {
    queue& self;
    bool try_now() const noexcept {
      self.tell_use(queue_role::joins);
      return self.all_done(nullptr);
    }
    bool park(waiter& w) const noexcept { return !self.all_done(&w); }
    parking_place& place() const noexcept { return self; }
    void result(wake_reason) const noexcept {}
  };
  static void require_open(wake_reason reason) {
    if (reason == wake_reason::closed)
      throw queue_closed();
  }

  /// Wakes what it has taken when the scope is left, also by an exception. To be made before the lock is taken.
  struct woken_on_exit : taken_waiters {
    woken_on_exit() = default;
    woken_on_exit(const woken_on_exit&) = delete;
    woken_on_exit& operator=(const woken_on_exit&) = delete;
    ~woken_on_exit() { wake_all(); }
  };

  [[nodiscard]] resource_id resource() const noexcept { return static_cast<const parking_place*>(this); }
  void tell_use(queue_role role) const noexcept {
    tell_wait_observer(&wait_observer::uses, resource(), role);
  }
  bool withdraw(waiter& w) noexcept override;
  /// True when all `items` were put.
  bool put_now(std::span<T>& items);
  /// True when `item` was filled, or the queue is closed and drained.
  bool take(std::optional<T>& item);
  /// Adds what is there, until there are `most` items. True when there are any, or the queue is closed and
  /// drained. Throws only if there are none.
  bool take_some(std::vector<T>& items, std::size_t most);
  bool park_putter(waiter& w, std::span<T>& left);
  bool park_getter(waiter& w, std::optional<T>& item);
  /// Whether every item is done. If not, parks `joiner` if there is one.
  bool all_done(waiter* joiner) noexcept;

  // All below need lock_.
  bool put_locked(T& item, taken_waiters& to_wake);
  bool put_all_locked(std::span<T>& items, taken_waiters& to_wake);
  /// Gives the next item to `sink`. False when there is none.
  template <class Sink>
  bool take_locked(Sink sink, taken_waiters& to_wake);
  /// For the oldest putter, one of whose items was just moved out.
  void advance_putter(waiter& putter, taken_waiters& to_wake) noexcept;

  const std::size_t capacity_;
  mutable small_lock lock_;
  bool closed_ = false;
  typename Order::template storage<T> items_;
  std::size_t unfinished_ = 0; // put, and not yet said to be done
  // Getters wait only while there are no items and no putters; putters while it is full, or while their item
  // could not be moved in. Arguments: a getter's std::optional<T>, a putter's std::span<T> of what is left to put.
  intrusive_list<waiter> getters_;
  intrusive_list<waiter> putters_;
  intrusive_list<waiter> joiners_;
};

/// Gives the newest item first.
template <class T>
using lifo_queue = queue<T, lifo>;
/// Gives the item first that `Compare` puts before the others, by default the smallest, and of equal ones the
/// first that came. (The order of std::sort and of Python's PriorityQueue; std::priority_queue has the reverse.)
template <class T, class Compare = std::less<>>
using priority_queue = queue<T, by_priority<Compare>>;

template <class T, class Order>
bool queue<T, Order>::put_locked(T& item, taken_waiters& to_wake) {
  if (closed_)
    throw queue_closed();
  if (!getters_.empty()) {
    waiter& getter = getters_.front();
    static_cast<std::optional<T>*>(getter.argument)->emplace(std::move(item));
    to_wake.take(getter);
  } else {
    // Also behind a producer that still waits because its item could not be moved in when there was room.
    if (items_.size() >= capacity_ || !putters_.empty())
      return false;
    items_.put(std::move(item));
  }
  ++unfinished_;
  return true;
}

template <class T, class Order>
bool queue<T, Order>::put_all_locked(std::span<T>& items, taken_waiters& to_wake) {
  while (!items.empty() && put_locked(items.front(), to_wake))
    items = items.subspan(1);
  return items.empty();
}

template <class T, class Order>
void queue<T, Order>::advance_putter(waiter& putter, taken_waiters& to_wake) noexcept {
  auto& left = *static_cast<std::span<T>*>(putter.argument);
  left = left.subspan(1);
  ++unfinished_;
  if (left.empty())
    to_wake.take(putter);
}

template <class T, class Order>
template <class Sink>
bool queue<T, Order>::take_locked(Sink sink, taken_waiters& to_wake) {
  if (items_.size() != 0) {
    sink(items_.next());
    items_.drop_next();
    if (putters_.empty())
      return true;
    // The room goes to the oldest waiting producer. If its item cannot be moved in, that error must not lose
    // ours: it stays parked, and the next take tries again.
    waiter& putter = putters_.front();
    try {
      items_.put(std::move(static_cast<std::span<T>*>(putter.argument)->front()));
    } catch (...) {
      return true;
    }
    advance_putter(putter, to_wake);
    return true;
  }
  if (putters_.empty())
    return false;
  waiter& putter = putters_.front(); // capacity 0: from hand to hand
  sink(static_cast<std::span<T>*>(putter.argument)->front());
  advance_putter(putter, to_wake);
  return true;
}

template <class T, class Order>
bool queue<T, Order>::try_put(T& item) {
  tell_use(queue_role::puts);
  woken_on_exit woken;
  const std::lock_guard guard(lock_);
  return put_locked(item, woken);
}

template <class T, class Order>
bool queue<T, Order>::put_now(std::span<T>& items) {
  tell_use(queue_role::puts);
  woken_on_exit woken;
  const std::lock_guard guard(lock_);
  return put_all_locked(items, woken);
}

template <class T, class Order>
bool queue<T, Order>::park_putter(waiter& w, std::span<T>& left) {
  woken_on_exit woken;
  const std::lock_guard guard(lock_);
  if (put_all_locked(left, woken))
    return false;
  w.argument = &left;
  putters_.push_back(w);
  return true;
}

template <class T, class Order>
bool queue<T, Order>::take(std::optional<T>& item) {
  tell_use(queue_role::gets);
  woken_on_exit woken;
  const std::lock_guard guard(lock_);
  return take_locked([&](T& next_item) { item.emplace(std::move(next_item)); }, woken) || closed_;
}

template <class T, class Order>
bool queue<T, Order>::take_some(std::vector<T>& items, std::size_t most) {
  tell_use(queue_role::gets);
  woken_on_exit woken;
  const std::lock_guard guard(lock_);
  try {
    // Room first: an item must not be lost on its way. From hand to hand, one is certain to be there at most.
    const std::size_t wanted = std::min(most, items.size() + std::max<std::size_t>(items_.size(), 1));
    items.reserve(wanted);
    const auto add = [&](T& item) { items.push_back(std::move(item)); };
    while (items.size() < wanted && take_locked(add, woken)) {
    }
  } catch (...) {
    if (items.empty())
      throw;
  }
  return !items.empty() || closed_;
}

template <class T, class Order>
std::optional<T> queue<T, Order>::try_get() {
  std::optional<T> item;
  take(item);
  return item;
}

template <class T, class Order>
bool queue<T, Order>::park_getter(waiter& w, std::optional<T>& item) {
  woken_on_exit woken;
  const std::lock_guard guard(lock_);
  if (take_locked([&](T& next_item) { item.emplace(std::move(next_item)); }, woken) || closed_)
    return false;
  w.argument = &item;
  getters_.push_back(w);
  return true;
}

template <class T, class Order>
bool queue<T, Order>::withdraw(waiter& w) noexcept {
  const std::lock_guard guard(lock_);
  if (!w.linked())
    return false;
  w.unlink();
  return true;
}

template <class T, class Order>
void queue<T, Order>::close() noexcept {
  taken_waiters ended;
  {
    const std::lock_guard guard(lock_);
    closed_ = true;
    ended.take_all(getters_);
    ended.take_all(putters_);
  }
  ended.wake_all(wake_reason::closed);
}

template <class T, class Order>
bool queue<T, Order>::closed() const {
  const std::lock_guard guard(lock_);
  return closed_;
}

template <class T, class Order>
std::size_t queue<T, Order>::size() const {
  const std::lock_guard guard(lock_);
  return items_.size();
}

template <class T, class Order>
void queue<T, Order>::task_done(std::size_t items) {
  woken_on_exit woken;
  const std::lock_guard guard(lock_);
  if (items > unfinished_)
    throw released_too_often("queue: task_done() called more often than items were put");
  unfinished_ -= items;
  if (unfinished_ == 0)
    woken.take_all(joiners_);
}

template <class T, class Order>
bool queue<T, Order>::all_done(waiter* joiner) noexcept {
  const std::lock_guard guard(lock_);
  if (unfinished_ == 0)
    return true;
  if (joiner != nullptr)
    joiners_.push_back(*joiner);
  return false;
}

} // namespace fourfold
