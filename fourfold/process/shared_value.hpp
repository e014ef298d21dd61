#pragma once

#include <fourfold/process/process_mutex.hpp>
#include <fourfold/process/shared_memory.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <type_traits>

namespace fourfold {

/// What processes can have in common as bytes. No type with pointers means anything in another process; that
/// the compiler cannot see.
template <class T>
concept shareable = std::is_trivially_copyable_v<T> && std::is_object_v<T> && !std::is_const_v<T> &&
                    !std::is_pointer_v<T> && !std::is_member_pointer_v<T>;

namespace detail {

/// Where elements of T begin behind a mutex.
template <class T>
inline constexpr std::size_t guarded_offset = std::max<std::size_t>(64, alignof(T));

} // namespace detail

/// Holds the lock of a shared_value or shared_array for a scope, and shows what it guards. `owner_died()` says
/// once, to the next holder, that the one before died with the lock held: the data may be half written. Does
/// not move; belongs to the thread that made it; not to be held across a co_await.
template <class Data>
class [[nodiscard]] shared_guard {
 public:
  shared_guard(const shared_guard&) = delete;
  shared_guard& operator=(const shared_guard&) = delete;
  ~shared_guard() { mutex_.unlock(); }

  [[nodiscard]] bool owner_died() const noexcept { return last_ == last_holder::died; }
  [[nodiscard]] auto& operator*() const noexcept { return data(); }
  [[nodiscard]] auto* operator->() const noexcept { return &data(); }

 private:
  template <class>
  friend class shared_value;
  template <class>
  friend class shared_array;
  shared_guard(shared_memory memory, process_mutex& mutex, Data data, const wait_limit& limit)
      : memory_(std::move(memory)), mutex_(mutex), data_(data), last_(mutex.lock(limit)) {}

  auto& data() const noexcept {
    if constexpr (std::is_pointer_v<Data>) {
      return *data_;
    } else {
      return data_; // a span
    }
  }

  shared_memory memory_; // the handle may be assigned to, or go, meanwhile
  process_mutex& mutex_;
  Data data_;
  last_holder last_;
};

/// One value that several processes have in common, and its lock.
///
///   shared_value<long> counter(0);
///   auto add = [](shared_value<long> c, int n) { for (; n > 0; --n) ++*c.lock(); };
///   pool.submit(add, counter, 1000);
///   long now = counter.get();
///
/// A handle: copies, and what arrives in another process, are the same value (see shared_memory for how long it
/// lives). A holder that dies hands the lock over, and the next one sees `owner_died()`; see process_mutex for
/// how that works.
///
/// Cancellation-aware: yes, the limit of lock() may have a token. Threads: any; a coroutine blocks its loop
/// while it waits. Destroying a handle while the lock is held is fine.
template <class T>
class shared_value {
  static_assert(shareable<T>, "shared_value: the type must be trivially copyable, and no pointer");

 public:
  /// Throws std::system_error if there is no memory.
  explicit shared_value(const T& value = T())
      : memory_(shared_memory::anonymous(detail::guarded_offset<T> + sizeof(T))) {
    new (memory_.data()) process_mutex;
    new (memory_.data() + detail::guarded_offset<T>) T(value);
  }

  /// Waits for the lock; throws `timed_out` or `cancelled`, and `error` if this thread has it.
  shared_guard<T*> lock(const wait_limit& limit = {}) const { return {memory_, mutex(), &unlocked(), limit}; }
  /// A copy, made under the lock; and assignment under it.
  [[nodiscard]] T get(const wait_limit& limit = {}) const { return *lock(limit); }
  void set(const T& value, const wait_limit& limit = {}) const { *lock(limit) = value; }
  /// Without the lock: for atomic operations, or while nobody else can be there.
  [[nodiscard]] T& unlocked() const noexcept {
    return *std::launder(reinterpret_cast<T*>(memory_.data() + detail::guarded_offset<T>));
  }

 private:
  friend struct codec<shared_value>;
  explicit shared_value(shared_memory memory) noexcept : memory_(std::move(memory)) {}
  [[nodiscard]] process_mutex& mutex() const noexcept {
    return *std::launder(reinterpret_cast<process_mutex*>(memory_.data()));
  }

  shared_memory memory_;
};

/// A fixed number of values that several processes have in common, and one lock for all; otherwise as
/// shared_value.
///
///   shared_array<double> results(1000);
///   (*results.lock())[7] = 0.5;              // *guard is a std::span<double>
///   results.unlocked()[7] = 0.5;             // each process its own elements: no lock is needed
template <class T>
class shared_array {
  static_assert(shareable<T>, "shared_array: the elements must be trivially copyable, and no pointers");

 public:
  /// `count` elements, more than 0, all equal to `value`.
  explicit shared_array(std::size_t count, const T& value = T()) : count_(count) {
    if (count == 0 ||
        count > (std::numeric_limits<std::size_t>::max() - detail::guarded_offset<T>) / sizeof(T))
      throw std::invalid_argument("shared_array: a number of elements that no memory can hold");
    memory_ = shared_memory::anonymous(detail::guarded_offset<T> + count * sizeof(T));
    new (memory_.data()) process_mutex;
    std::uninitialized_fill_n(first(), count, value);
  }

  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  shared_guard<std::span<T>> lock(const wait_limit& limit = {}) const {
    return {memory_, *std::launder(reinterpret_cast<process_mutex*>(memory_.data())), unlocked(), limit};
  }
  [[nodiscard]] std::span<T> unlocked() const noexcept { return {std::launder(first()), count_}; }

 private:
  friend struct codec<shared_array>;
  shared_array(shared_memory memory, std::size_t count) noexcept
      : memory_(std::move(memory)), count_(count) {}
  [[nodiscard]] T* first() const noexcept {
    return reinterpret_cast<T*>(memory_.data() + detail::guarded_offset<T>);
  }

  shared_memory memory_;
  std::size_t count_;
};

template <class T>
struct codec<shared_value<T>> {
  static void encode(encoder& out, const shared_value<T>& value) { out.write(value.memory_); }
  static shared_value<T> decode(decoder& in) {
    auto memory = in.read<shared_memory>();
    if (memory.size() != detail::guarded_offset<T> + sizeof(T))
      in.fail("a shared value came with another size than its type's");
    return shared_value<T>(std::move(memory));
  }
};

template <class T>
struct codec<shared_array<T>> {
  static void encode(encoder& out, const shared_array<T>& value) { out.write(value.memory_, value.count_); }
  static shared_array<T> decode(decoder& in) {
    auto memory = in.read<shared_memory>();
    const auto count = in.read<std::size_t>();
    const std::size_t room = memory.size() - std::min(memory.size(), detail::guarded_offset<T>);
    if (count == 0 || count != room / sizeof(T) || room % sizeof(T) != 0)
      in.fail("a shared array came with another size than said");
    return {std::move(memory), count};
  }
};

} // namespace fourfold
