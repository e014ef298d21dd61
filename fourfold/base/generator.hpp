#pragma once

#include <fourfold/base/generator_promise.hpp>

#include <concepts>
#include <cstddef>
#include <iterator>

namespace fourfold {

template <class T>
class generator;

namespace detail {

template <class T>
class generator_promise final : public generator_promise_base<generator_promise<T>, T> {
  using base = generator_promise_base<generator_promise, T>;
  using value = std::remove_cvref_t<T>;

 public:
  generator<T> get_return_object() noexcept;
  auto final_suspend() noexcept { return end_awaiter{}; }
  /// A generator awaits nothing; `async_generator` does.
  void await_transform() = delete;

  std::suspend_always yield_value(typename base::reference element) noexcept {
    this->leave_element(static_cast<typename base::reference>(element));
    return {};
  }
  /// A copy, so that the consumer may move from it.
  auto yield_value(const value& element)
    requires std::is_object_v<T> && std::copy_constructible<value>
  {
    return copy_awaiter(element);
  }
  auto yield_value(elements_of<generator<T>> elements) {
    return nested_awaiter(elements.nested.promise_.release_unstarted());
  }

  /// Runs the leaf, and whatever becomes the leaf, until something is yielded or the root has ended.
  void advance() {
    this->run_on();
    do {
      this->leaf()->handle().resume();
    } while (this->element() == nullptr && !this->ended());
    this->rethrow_if_failed();
  }

 private:
  using handle_type = std::coroutine_handle<generator_promise>;

  struct end_awaiter {
    bool await_ready() const noexcept { return false; }
    void await_suspend(handle_type ended) const noexcept { ended.promise().ascend(); }
    void await_resume() const noexcept {}
  };

  class copy_awaiter {
   public:
    explicit copy_awaiter(const value& element) : element_(element) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(handle_type yielding) noexcept {
      yielding.promise().leave_element(static_cast<T&&>(element_));
    }
    void await_resume() const noexcept {}

   private:
    value element_;
  };

  class nested_awaiter {
   public:
    explicit nested_awaiter(generator_promise& child) noexcept : child_(&child) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(handle_type parent) noexcept { parent.promise().descend(*child_); }
    void await_resume() { base::finish(*child_); }

   private:
    generator_promise* child_;
  };
};

} // namespace detail

/// A coroutine that yields a sequence of `T` (objects or references), one when the next is asked for: an
/// input range that needs no loop.
///
///   generator<int> count(int from) {
///     for (;;)
///       co_yield from++;
///   }
///   for (int n : count(1))
///     if (n > 10)
///       break; // the rest is never computed
///
/// Dereferencing an iterator of a `generator<T>` gives `T&&`, and the element may be moved from: a variable
/// that is yielded is copied first. That of a `generator<T&>` or `generator<const T&>` gives this reference,
/// and nothing is copied. It is valid until the iterator is incremented.
///
/// An exception that leaves the body comes out of begin() or ++, and ends the sequence. Destroying a
/// generator that has not come to its end destroys the locals of its body, innermost first. `elements_of`
/// nests generators to any depth with bounded use of the stack, also when they fail or are destroyed.
/// Generators that iterate over one another, or hold one another as arguments, nest as function calls do.
///
/// Never waits, so cancellation and waiters do not concern it. Threads: one at a time, any.
template <class T>
class [[nodiscard]] generator {
 public:
  using promise_type = detail::generator_promise<T>;

  /// Movable only. What is to be advanced must be neither at its end nor running: `error`.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::remove_cvref_t<T>;
    using difference_type = std::ptrdiff_t;
    using reference = typename promise_type::reference;

    iterator(iterator&& other) noexcept : promise_(std::exchange(other.promise_, nullptr)) {}
    iterator& operator=(iterator&& other) noexcept {
      promise_ = std::exchange(other.promise_, nullptr);
      return *this;
    }
    ~iterator() = default;

    [[nodiscard]] reference operator*() const noexcept {
      return static_cast<reference>(*promise_->element());
    }
    iterator& operator++() {
      if (promise_->element() == nullptr)
        throw error("generator: advanced past its end, or by itself");
      promise_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    [[nodiscard]] friend bool operator==(const iterator& it, std::default_sentinel_t) noexcept {
      return it.promise_->element() == nullptr;
    }

   private:
    friend generator;
    explicit iterator(promise_type& promise) noexcept : promise_(&promise) {}

    promise_type* promise_;
  };

  /// False after being moved from.
  [[nodiscard]] bool valid() const noexcept { return promise_.get() != nullptr; }

  /// Runs the body up to its first element. Once; throws `error` afterwards, and after being moved from.
  [[nodiscard]] iterator begin() {
    promise_type& promise = promise_.get_or_throw();
    if (promise.started())
      throw error("generator: begin() called twice");
    promise.advance();
    return iterator(promise);
  }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend promise_type;
  explicit generator(promise_type& promise) noexcept : promise_(promise) {}

  detail::generator_handle<promise_type> promise_;
};

template <class T>
generator<T> detail::generator_promise<T>::get_return_object() noexcept {
  return generator<T>(*this);
}

} // namespace fourfold
