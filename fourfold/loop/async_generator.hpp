#pragma once

#include <fourfold/base/generator_promise.hpp>
#include <fourfold/base/misuse.hpp>
#include <fourfold/loop/detail/trampoline.hpp>
#include <fourfold/loop/task.hpp>

#include <concepts>

namespace fourfold {

template <class T>
class async_generator;

namespace detail {

template <class T>
class async_generator_promise final : public generator_promise_base<async_generator_promise<T>, T> {
  using base = generator_promise_base<async_generator_promise, T>;
  using handle_type = std::coroutine_handle<async_generator_promise>;
  using value = std::remove_cvref_t<T>;

 public:
  async_generator<T> get_return_object() noexcept;
  auto final_suspend() noexcept { return end_awaiter{}; }

  auto yield_value(typename base::reference element) noexcept {
    this->leave_element(static_cast<typename base::reference>(element));
    return yield_awaiter(*this);
  }
  /// A copy, so that the consumer may move from it.
  auto yield_value(const value& element)
    requires std::is_object_v<T> && std::copy_constructible<value>
  {
    return copy_awaiter(*this, element);
  }
  auto yield_value(elements_of<async_generator<T>> elements) {
    return nested_awaiter(*this, elements.nested.promise_.release_unstarted());
  }

  // Of the root.
  [[nodiscard]] bool busy() const noexcept { return busy_; }
  void close() noexcept { closing_ = true; }

  /// Begins what run_for() goes on with and end_step() ends.
  void begin_step() {
    if (std::exchange(busy_, true))
      throw error("async_generator: next() or close() while another one runs");
  }
  /// Runs the leaf, and whatever becomes the leaf, for `consumer`, which is being suspended on it. False when
  /// an element or the end was reached at once, and the consumer goes on without having been suspended.
  bool run_for(std::coroutine_handle<> consumer);
  typename base::pointer end_step() {
    busy_ = false;
    this->rethrow_if_failed();
    return this->element();
  }

  static void destroy(async_generator_promise& root) noexcept {
    if (root.busy_)
      misuse("an async_generator was destroyed while next() or close() runs");
    base::destroy(root);
  }

 private:
  [[nodiscard]] bool stopped() const noexcept { return this->element() != nullptr || this->ended(); }

  /// Lets `next` run when the present coroutine of the chain has suspended itself. Inside of run_for() that
  /// is its own business.
  void go_on_with(std::coroutine_handle<> next) const noexcept {
    if (this->root().suspended_consumer_)
      this_thread_trampoline.next = next;
  }
  void go_on_with_consumer() const noexcept { go_on_with(this->root().suspended_consumer_); }

  void throw_if_closing() const {
    if (this->root().closing_)
      throw cancelled("the generator is being closed");
  }

  struct end_awaiter {
    bool await_ready() const noexcept { return false; }
    void await_suspend(handle_type ended) const noexcept {
      async_generator_promise& promise = ended.promise();
      if (async_generator_promise* parent = promise.ascend()) {
        promise.go_on_with(parent->handle());
      } else {
        promise.go_on_with_consumer();
      }
    }
    void await_resume() const noexcept {}
  };

  class yield_awaiter {
   public:
    explicit yield_awaiter(async_generator_promise& promise) noexcept : promise_(promise) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const noexcept { promise_.go_on_with_consumer(); }
    void await_resume() const { promise_.throw_if_closing(); }

   protected:
    async_generator_promise& promise_;
  };

  class copy_awaiter : public yield_awaiter {
   public:
    copy_awaiter(async_generator_promise& promise, const value& element)
        : yield_awaiter(promise), element_(element) {}
    void await_suspend(std::coroutine_handle<> yielding) noexcept {
      this->promise_.leave_element(static_cast<T&&>(element_));
      yield_awaiter::await_suspend(yielding);
    }

   private:
    value element_;
  };

  class nested_awaiter {
   public:
    nested_awaiter(async_generator_promise& parent, async_generator_promise& child) noexcept
        : parent_(parent), child_(child) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const noexcept {
      parent_.descend(child_);
      parent_.go_on_with(child_.handle());
    }
    void await_resume() const {
      base::finish(child_);
      parent_.throw_if_closing();
    }

   private:
    async_generator_promise& parent_;
    async_generator_promise& child_;
  };

  /// The consumer, unless run_for() is on the stack.
  std::coroutine_handle<> suspended_consumer_;
  bool busy_ = false;
  bool closing_ = false;
};

template <class T>
bool async_generator_promise<T>::run_for(std::coroutine_handle<> consumer) {
  this->run_on();
  trampoline& t = this_thread_trampoline;
  if (t.depth < trampoline::nesting_limit) {
    suspended_consumer_ = {};
    ++t.depth;
    for (const async_generator_promise* ran = nullptr; ran != this->leaf() && !stopped();) {
      ran = this->leaf();
      this->leaf()->handle().resume();
    }
    --t.depth;
    if (stopped())
      return false;
    suspended_consumer_ = consumer;
    return true;
  }
  suspended_consumer_ = consumer;
  t.next = this->leaf()->handle();
  return true;
}

} // namespace detail

/// A coroutine that yields a sequence of `T` (objects or references) and may await in between.
///
///   async_generator<std::string> lines(tcp_stream& from) {
///     while (auto line = co_await read_line(from))
///       co_yield *std::move(line);
///   }
///   auto all = lines(connection);
///   while (auto* line = co_await all.next())
///     use(*line);
///
/// It runs while next() is awaited, as a part of the consumer: on its loop, in its cancel scope, and by an
/// ordinary call, never through the loop's queue. `elements_of` nests generators to any depth with bounded
/// use of the stack.
///
/// An exception that leaves the body comes out of next(), and ends the sequence. Destroying a generator that
/// is suspended at a `co_yield` destroys the locals of its body, innermost first, and awaits nothing; if its
/// clean-up has to await, use close(). Destroying it while next() or close() runs is misuse.
///
/// Cancellation-aware: itself never waits; what it awaits is, and throws `cancelled` through the body to the
/// consumer. Resumes on the consumer's loop. Threads: the loop's; between two elements it may go to another.
template <class T>
class [[nodiscard]] async_generator {
 public:
  using promise_type = detail::async_generator_promise<T>;
  using value_type = std::remove_cvref_t<T>;

  /// False after being moved from.
  [[nodiscard]] bool valid() const noexcept { return promise_.get() != nullptr; }

  /// Awaits the next element: a pointer to it, or null at the end, and again whenever asked. The element is
  /// valid until next() is awaited again, and may be moved from unless T is a reference: a variable that is
  /// yielded is copied first. One at a time: awaited while another one runs, also by the generator itself, it
  /// throws `error`, and disturbs nothing. Throws `error` after being moved from.
  [[nodiscard]] auto next() { return next_awaitable(promise_.get_or_throw()); }

  /// Ends the generator: the `co_yield` at which it is suspended throws `cancelled`, its clean-up may await,
  /// and close() waits for its end. A `cancelled` that leaves the body is the expected end and goes no
  /// further; any other exception is thrown. A generator that goes on to yield instead is destroyed there,
  /// and `error` is thrown. One that was never started, or has ended, is only destroyed.
  ///
  ///   co_await std::move(g).close();
  ///   co_await shield(std::move(g).close()); // where the consumer is cancelled itself
  ///
  /// Throws `error` at once, having done nothing, while next() runs and after being moved from.
  [[nodiscard]] task<> close() && {
    if (promise_.get_or_throw().busy())
      throw error("async_generator: close() while next() runs");
    return close_and_destroy(std::move(*this));
  }

 private:
  friend promise_type;
  explicit async_generator(promise_type& promise) noexcept : promise_(promise) {}

  class [[nodiscard]] next_awaitable {
   public:
    explicit next_awaitable(promise_type& promise) noexcept : promise_(promise) {}
    bool await_ready() const {
      promise_.begin_step();
      return promise_.ended();
    }
    bool await_suspend(std::coroutine_handle<> consumer) const { return promise_.run_for(consumer); }
    auto await_resume() const { return promise_.end_step(); }

   private:
    promise_type& promise_;
  };

  static task<> close_and_destroy(async_generator argument) {
    const async_generator g = std::move(argument); // goes with the end, and not with the task object
    promise_type& promise = *g.promise_.get();
    if (!promise.started() || promise.ended())
      co_return;
    promise.close();
    try {
      if (co_await next_awaitable(promise) == nullptr)
        co_return;
    } catch (const cancelled&) {
      co_return;
    }
    throw error("async_generator: it yielded while it was being closed");
  }

  detail::generator_handle<promise_type> promise_;
};

template <class T>
async_generator<T> detail::async_generator_promise<T>::get_return_object() noexcept {
  return async_generator<T>(*this);
}

} // namespace fourfold
