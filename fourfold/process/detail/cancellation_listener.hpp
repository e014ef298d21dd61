#pragma once

#include <fourfold/base/cancellation.hpp>
#include <fourfold/process/detail/worker_channel.hpp>

#include <cstdint>
#include <mutex>

namespace fourfold::detail {

/// A worker's ear for functions that are told to stop. The worker's own thread is busy with the function, so a second
/// one listens: it sleeps on a word of the channel, and cancels the token of the function that the pool named, on that
/// second thread. It begins with the worker's first function; where the system gives no thread, the worker says that
/// it is deaf, and its functions cannot be told.
class cancellation_listener {
 public:
  explicit cancellation_listener(channel_header& header) noexcept : header_(header) {}
  cancellation_listener(const cancellation_listener&) = delete;
  cancellation_listener& operator=(const cancellation_listener&) = delete;

  /// A function runs on this thread, until the end of the scope: it has a token of its own.
  class running {
   public:
    running(cancellation_listener& listener, std::uint64_t number);
    ~running();
    running(const running&) = delete;
    running& operator=(const running&) = delete;

   private:
    cancellation_listener& listener_;
    cancellation_source source_;
    current_cancellation_scope scope_;
  };

 private:
  void start();
  [[noreturn]] void listen();
  /// Tells the function that runs, if it is the one named; under mutex_.
  void look() noexcept;

  channel_header& header_;
  bool started_ = false;
  // Not a small_lock: callbacks of the user's run under it.
  std::mutex mutex_;
  cancellation_source* source_ = nullptr; // of the function that runs
  std::uint64_t number_ = 0;
};

} // namespace fourfold::detail
