#pragma once

#include <fourfold/base/errors.hpp>
#include <fourfold/process/detail/queue_end.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>

namespace fourfold {

namespace detail {

/// Items whose every pattern of bits is a value stand in the queue as they are; others are encoded.
template <class T>
inline constexpr std::size_t queue_record = is_plain<T> ? sizeof(T) : 0;

/// An item on its way in.
template <class T>
class queued_bytes {
 public:
  explicit queued_bytes(const T& item) : item_(item) {
    if constexpr (!is_plain<T>) {
      encode_into(encoded_, item);
      if (encoded_.has_attachments())
        throw error(
            "a process_queue carries bytes only: send shared memory through a process_pipe or a call");
    }
  }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    if constexpr (is_plain<T>) {
      return std::as_bytes(std::span(&item_, 1));
    } else {
      return encoded_.bytes();
    }
  }

 private:
  const T& item_;
  std::conditional_t<is_plain<T>, std::monostate, byte_buffer> encoded_;
};

/// An item on its way out.
template <class T>
class dequeued_bytes {
 public:
  [[nodiscard]] bool take(queue_end& end, const wait_limit& limit) {
    if constexpr (is_plain<T>) {
      return end.ring().try_get(std::span(bytes_.byte), limit);
    } else {
      bytes_.clear();
      return end.ring().try_get(bytes_, limit);
    }
  }
  [[nodiscard]] T value() const {
    if constexpr (is_plain<T>) {
      decoder in(std::span<const std::byte>(bytes_.byte));
      return in.read<T>();
    } else {
      return decode<T>(bytes_.bytes());
    }
  }

 private:
  struct plain_bytes {
    std::array<std::byte, sizeof(T)> byte;
  };
  std::conditional_t<is_plain<T>, plain_bytes, byte_buffer> bytes_;
};

} // namespace detail

template <class T>
struct process_queue;

/// The end of a process_queue that puts. Copies, and what arrives in another process, put into the same queue.
template <class T>
class queue_sender {
 public:
  /// Puts the item, waiting for room. Throws `queue_closed` if the queue was closed, or it is full and all
  /// receivers have gone; `timed_out`, `cancelled`; `error` for an item that is larger than the queue.
  void put(const T& item, const wait_limit& limit = {}) {
    const detail::queued_bytes<T> bytes(item);
    const std::size_t room = room_for(bytes);
    if (!end_.do_when_possible([&] { return end_.ring().try_put(bytes.bytes(), limit); }, room, limit))
      throw queue_closed();
  }
  /// The same on a loop.
  [[nodiscard]] task<> async_put(T item) {
    const detail::queued_bytes<T> bytes(item);
    const std::size_t room = room_for(bytes);
    auto attempt = [&] { return end_.ring().try_put(bytes.bytes(), {}); };
    const bool done = co_await end_.async_do_when_possible(attempt, room);
    if (!done)
      throw queue_closed();
  }
  /// Puts the item if there is room now. Throws `queue_closed`.
  [[nodiscard]] bool try_put(const T& item) {
    const detail::queued_bytes<T> bytes(item);
    static_cast<void>(room_for(bytes));
    if (end_.closed())
      throw queue_closed();
    return end_.do_now([&] { return end_.ring().try_put(bytes.bytes(), {}); });
  }
  /// No more items from anybody: putters get `queue_closed`, getters drain what is there.
  void close() noexcept { end_.close(); }

 private:
  friend struct process_queue<T>;
  friend struct codec<queue_sender>;
  explicit queue_sender(detail::queue_end end) : end_(std::move(end)) {}
  std::size_t room_for(const detail::queued_bytes<T>& bytes) {
    const std::size_t room = end_.ring().room_of(bytes.bytes().size());
    if (room > end_.ring().limit())
      throw error("an item is larger than the whole process_queue");
    return room;
  }

  detail::queue_end end_;
};

/// The end of a process_queue that gets. Copies, and what arrives in another process, get from the same queue:
/// each item goes to one of them.
template <class T>
class queue_receiver {
 public:
  /// The oldest item, waiting for one. Throws `queue_closed` when nothing is left and the queue was closed or
  /// all senders have gone; `timed_out`, `cancelled`; `decode_error` for what cannot be an item.
  [[nodiscard]] T get(const wait_limit& limit = {}) { return or_throw(next(limit)); }
  /// The same, with an empty optional for the end.
  [[nodiscard]] std::optional<T> next(const wait_limit& limit = {}) {
    detail::dequeued_bytes<T> bytes;
    if (!end_.do_when_possible([&] { return bytes.take(end_, limit); }, 0, limit))
      return std::nullopt;
    return bytes.value();
  }
  /// The same two on a loop.
  [[nodiscard]] task<T> async_get() {
    auto item = co_await async_next();
    co_return or_throw(std::move(item));
  }
  [[nodiscard]] task<std::optional<T>> async_next() {
    detail::dequeued_bytes<T> bytes;
    auto attempt = [&] { return bytes.take(end_, {}); };
    const bool done = co_await end_.async_do_when_possible(attempt, 0);
    if (!done)
      co_return std::nullopt;
    co_return bytes.value();
  }
  /// The oldest item if there is one now.
  [[nodiscard]] std::optional<T> try_get() {
    detail::dequeued_bytes<T> bytes;
    if (!end_.do_now([&] { return bytes.take(end_, {}); }))
      return std::nullopt;
    return bytes.value();
  }
  /// As queue_sender::close().
  void close() noexcept { end_.close(); }

 private:
  friend struct process_queue<T>;
  friend struct codec<queue_receiver>;
  explicit queue_receiver(detail::queue_end end) : end_(std::move(end)) {}
  static T or_throw(std::optional<T> item) {
    if (!item)
      throw queue_closed();
    return std::move(*item);
  }

  detail::queue_end end_;
};

/// A bounded queue between any number of processes, threads and coroutines, in the order of the puts.
///
///   auto [sender, receiver] = process_queue<point>(1000);
///   auto work = pool.submit(produce, std::move(sender));      // the only sender is in the worker now
///   while (auto p = receiver.next()) draw(*p);                // until it ends, or dies
///
/// The two ends are handles of their own, because that is how the end is told: when the last sender has gone,
/// in whatever way, getters get what is left and then the end; when the last receiver has gone, putters get
/// `queue_closed` once they would have to wait. So a process that only gets must give its sender away. A pool
/// holds the ends in a call's arguments until the call has ended, for it may have to send them once more.
///
/// Who is killed while it puts or gets loses at most its own item, and never holds up the others.
///
/// Items of plain bytes (numbers, structs of numbers) stand in the queue as they are, exactly `capacity` of
/// them; others are encoded, and share `capacity` times 128 bytes. Whatever is found in the shared memory that
/// cannot be is `decode_error`.
///
/// (1) Cancellation-aware: yes, all that wait; a cancelled operation has had no effect. (2) A coroutine resumes
/// on its loop. (3) Threads: any, but each handle by one at a time; copy it for another. (4) Destroying a
/// handle is letting go of it.
template <class T>
struct process_queue {
  static_assert(std::is_same_v<T, std::remove_cvref_t<T>>, "process_queue holds values");

  explicit process_queue(std::size_t capacity)
      : process_queue(detail::queue_end::make(limit_of(capacity), detail::queue_record<T>)) {
    require_encodable<T>();
  }

  queue_sender<T> sender;
  queue_receiver<T> receiver;

 private:
  explicit process_queue(std::array<detail::queue_end, 2> ends)
      : sender(std::move(ends[0])), receiver(std::move(ends[1])) {}
  static std::size_t limit_of(std::size_t capacity) {
    constexpr std::size_t each = detail::queue_record<T> == 0 ? 128 : (sizeof(T) + 7) & ~std::size_t{7};
    if (capacity == 0 || capacity > (std::size_t{1} << 40) / each)
      throw std::invalid_argument("process_queue: a capacity of nothing, or more than memory can hold");
    return capacity * each;
  }
};

template <class T>
struct codec<queue_sender<T>> {
  static void encode(encoder& out, const queue_sender<T>& value) { value.end_.encode(out); }
  static queue_sender<T> decode(decoder& in) {
    return queue_sender<T>(
        detail::queue_end::decode(in, detail::queue_end::side::put, detail::queue_record<T>));
  }
};
template <class T>
struct codec<queue_receiver<T>> {
  static void encode(encoder& out, const queue_receiver<T>& value) { value.end_.encode(out); }
  static queue_receiver<T> decode(decoder& in) {
    return queue_receiver<T>(
        detail::queue_end::decode(in, detail::queue_end::side::get, detail::queue_record<T>));
  }
};

} // namespace fourfold
