// Boost.Asio beside a Fourfold loop: to copy into a program that has code for Asio. docs/asio.md explains it.
#pragma once

#include <fourfold/base/coroutine_result.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/sync/future.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>

/// An io_context with a thread of its own, which is the only one that runs it: so its I/O objects need no strand.
/// Destruction waits for the operations that are under way.
class asio_thread {
 public:
  asio_thread() = default;
  ~asio_thread() { guard_.reset(); } // then thread_ joins
  asio_thread(const asio_thread&) = delete;
  asio_thread& operator=(const asio_thread&) = delete;

  boost::asio::io_context& context() noexcept { return context_; }

 private:
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{context_.get_executor()};
  std::jthread thread_{[this] { context_.run(); }};
};

/// Calls `f()` on the thread of `context`. Any thread. The future has `broken_promise` if the context is destroyed
/// before it gets there.
template <class F>
fourfold::future<std::invoke_result_t<F&>> submit(boost::asio::io_context& context, F f) {
  fourfold::promise<std::invoke_result_t<F&>> promise;
  auto result = promise.get_future();
  boost::asio::post(context, [f = std::move(f), promise = std::move(promise)]() mutable {
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
        f();
        promise.set_value();
      } else {
        promise.set_value(f());
      }
    } catch (...) {
      promise.set_exception(std::current_exception());
    }
  });
  return result;
}

/// What from_asio() gives an operation as its completion handler.
template <class T>
class completion {
 public:
  explicit completion(fourfold::promise<T> result) noexcept : result_(std::move(result)) {}

  template <class... Value>
  void operator()(const boost::system::error_code& error, Value&&... value) {
    if (error) {
      result_.set_exception(std::make_exception_ptr(std::system_error(error)));
    } else if constexpr (std::is_void_v<T>) {
      result_.set_value();
    } else {
      result_.set_value(std::forward<Value>(value)...);
    }
  }

 private:
  fourfold::promise<T> result_;
};

/// Awaits an operation of Asio: `start(handler)` begins it and `cancel()` ends it early, both on the thread of
/// `context`, where alone its I/O objects may be touched. A failure is std::system_error.
///
///   auto begin = [&](auto handler) { timer.async_wait(std::move(handler)); };
///   co_await from_asio<void>(context, begin, [&] { timer.cancel(); });
///
/// Cancellation-aware: yes. It cancels the operation and waits for its handler, so what `start` and `cancel` refer
/// to is needed until the await is over and no longer; a result that came first is returned all the same. Resumes
/// on the loop. Threads: the loop's.
template <class T, class Start, class Cancel>
fourfold::task<T> from_asio(boost::asio::io_context& context, Start start, Cancel cancel) {
  fourfold::promise<T> promise;
  auto result = promise.get_future();
  auto begin = [&start, promise = std::move(promise)]() mutable { start(completion<T>(std::move(promise))); };
  auto begun = submit(context, std::move(begin));
  bool interrupted = false;
  try {
    co_await result.async_wait();
  } catch (const fourfold::cancelled&) {
    interrupted = true; // a handler cannot await
  }
  if (interrupted) {
    co_await fourfold::shield(submit(context, std::ref(cancel)));
    co_await fourfold::shield(result.async_wait());
  }
  // If start() threw, that is why there is no result.
  co_await fourfold::shield(std::move(begun));
  try {
    co_return result.get();
  } catch (const std::system_error& failure) {
    if (!interrupted || failure.code() != std::errc::operation_canceled)
      throw;
  }
  throw fourfold::cancelled();
}

/// The other direction: calls `handler(future)` on `executor` when the call of Fourfold is ready; the future's get()
/// then gives its result, or throws its exception, without waiting. Any thread.
template <class T, class Executor, class Handler>
void then_on(const Executor& executor, fourfold::future<T> awaited, Handler handler) {
  // Shared with this function, which uses it until on_ready() has returned.
  const auto kept = std::make_shared<fourfold::future<T>>(std::move(awaited));
  kept->on_ready([kept, executor, handler = std::move(handler)]() mutable {
    boost::asio::post(executor, [kept = std::move(kept), handler = std::move(handler)]() mutable {
      handler(std::move(*kept));
    });
  });
}
