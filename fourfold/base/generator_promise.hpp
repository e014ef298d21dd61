#pragma once

#include <fourfold/base/errors.hpp>
#include <fourfold/base/frame_allocator.hpp>

#include <coroutine>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace fourfold {

/// What a generator yields to yield everything that another one yields, at the cost of a single one per
/// element, however deep generators are nested in this way. The other one must not have been started.
///
///   generator<int> walk(const node& n) {
///     for (const node& child : n.children)
///       co_yield elements_of(walk(child));
///     co_yield n.value;
///   }
template <class Generator>
class elements_of {
 public:
  explicit elements_of(Generator g) noexcept : nested(std::move(g)) {}

  Generator nested;
};

namespace detail {

/// What the promises of `generator` and `async_generator` have in common.
///
/// A generator that yields the elements of another one is its parent. The chain from the one that a consumer
/// holds, the root, down to the one that yields at present, the leaf, is linked upwards, and only the root
/// knows the leaf. So the consumer resumes the leaf, the leaf leaves its element at the root, and nobody
/// between them does anything.
///
/// A parent owns its child through this chain alone, and not by an object in its frame: so a chain that is
/// destroyed while suspended is destroyed in a loop, leaf first, and not by recursion.
template <class Promise, class T>
class generator_promise_base : public frame_allocated {
  static_assert(std::is_reference_v<T> || std::is_object_v<T>, "a generator yields objects or references");

 public:
  using reference = std::conditional_t<std::is_reference_v<T>, T, T&&>;
  using pointer = std::add_pointer_t<T>;

  std::suspend_always initial_suspend() const noexcept { return {}; }
  void return_void() const noexcept {}
  void unhandled_exception() noexcept { exception_ = std::current_exception(); }

  [[nodiscard]] std::coroutine_handle<Promise> handle() noexcept {
    return std::coroutine_handle<Promise>::from_promise(self());
  }

  // Of the root.
  [[nodiscard]] Promise* leaf() const noexcept { return leaf_; }
  /// What is yielded now; null while it runs, before it has been started and when it has ended.
  [[nodiscard]] pointer element() const noexcept { return element_; }
  [[nodiscard]] bool ended() const noexcept { return leaf_ == nullptr; }
  [[nodiscard]] bool started() const noexcept { return started_; }
  void run_on() noexcept {
    started_ = true;
    element_ = nullptr;
  }
  void rethrow_if_failed() {
    if (exception_)
      std::rethrow_exception(std::exchange(exception_, nullptr));
  }

  /// Destroys the chain that is suspended below `root`, or has not been started, or has ended.
  static void destroy(Promise& root) noexcept {
    for (Promise* each = root.leaf_; each != nullptr && each != &root;)
      std::exchange(each, each->parent_)->handle().destroy();
    root.handle().destroy();
  }

 protected:
  ~generator_promise_base() = default;

  [[nodiscard]] Promise& root() const noexcept { return *root_; }

  void leave_element(reference element) noexcept { root_->element_ = std::addressof(element); }

  /// Puts `child`, which was not started, below this one.
  void descend(Promise& child) noexcept {
    child.started_ = true;
    child.root_ = root_;
    child.parent_ = &self();
    root_->leaf_ = &child;
  }
  /// This one has ended: its parent is the leaf. Null for the root.
  Promise* ascend() noexcept {
    root_->leaf_ = parent_;
    return parent_;
  }
  /// The child has ended: frees it, and throws what it threw.
  static void finish(Promise& child) {
    const std::exception_ptr failure = std::move(child.exception_);
    child.handle().destroy();
    if (failure)
      std::rethrow_exception(failure);
  }

 private:
  friend Promise;
  generator_promise_base() noexcept : root_(&self()), leaf_(&self()) {}
  generator_promise_base(const generator_promise_base&) = delete;
  generator_promise_base& operator=(const generator_promise_base&) = delete;

  [[nodiscard]] Promise& self() noexcept { return static_cast<Promise&>(*this); }

  Promise* root_;
  Promise* parent_ = nullptr;
  Promise* leaf_;
  pointer element_ = nullptr;
  std::exception_ptr exception_;
  bool started_ = false;
};

/// The frames of a chain, owned. Null after being moved from.
template <class Promise>
class generator_handle {
 public:
  explicit generator_handle(Promise& root) noexcept : root_(&root) {}
  generator_handle(generator_handle&& other) noexcept : root_(std::exchange(other.root_, nullptr)) {}
  generator_handle& operator=(generator_handle&& other) noexcept {
    std::swap(root_, other.root_);
    return *this;
  }
  ~generator_handle() {
    if (root_ != nullptr)
      Promise::destroy(*root_);
  }

  [[nodiscard]] Promise* get() const noexcept { return root_; }
  [[nodiscard]] Promise& get_or_throw() const {
    if (root_ == nullptr)
      throw error("generator: used after it was moved from");
    return *root_;
  }
  /// Gives up one that has not been started.
  [[nodiscard]] Promise& release_unstarted() {
    if (get_or_throw().started())
      throw error("generator: elements_of() one that was started already");
    return *std::exchange(root_, nullptr);
  }

 private:
  Promise* root_;
};

} // namespace detail
} // namespace fourfold
