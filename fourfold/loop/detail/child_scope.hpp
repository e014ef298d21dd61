#pragma once

#include <fourfold/loop/cancel_scope.hpp>
#include <fourfold/loop/loop.hpp>

#include <cstddef>
#include <deque>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fourfold::detail {

/// A cancel scope with children: chains that run beside the one that opened it. The opener joins them before
/// it leaves; a child that fails cancels the scope. `task_group` and `gather` are faces of this.
class child_scope {
 public:
  /// Opens the scope; the running chain enters it.
  child_scope() : opener_(root_context::current_or_throw()), scope_(&opener_.scope()) {
    scope_.enter(opener_);
  }
  ~child_scope() {
    if (inside_)
      leave();
  }
  child_scope(const child_scope&) = delete;
  child_scope& operator=(const child_scope&) = delete;

  [[nodiscard]] cancel_scope& scope() noexcept { return scope_; }
  [[nodiscard]] scheduler& owner() const noexcept { return opener_.owner(); }
  [[nodiscard]] std::size_t live() const noexcept { return live_; }

  void child_started() noexcept { ++live_; }
  enum class on_failure : bool { cancel_the_rest, go_on };
  /// `failure` is null for a child that succeeded. A `cancelled` that follows from the scope's cancellation
  /// is no failure.
  void child_ended(const std::exception_ptr& failure, on_failure then) noexcept;
  void fail(const std::exception_ptr& failure) noexcept;

  /// Awaits the end of all children, whatever happens: cancellation reaches the children, and they end.
  [[nodiscard]] auto join() noexcept { return join_awaitable(*this); }

  /// After join(): the opener leaves the scope. Then throws the failure if there was one, an
  /// `exception_group` if there were more, and else `cancelled` if a cancellation from outside has cut
  /// something short. One that came too late for that takes nothing away from what is done.
  void leave_and_rethrow();

 private:
  class join_awaitable final : public coroutine_waiter {
   public:
    explicit join_awaitable(child_scope& scope) noexcept : scope_(scope) {}
    bool await_ready() {
      enter(); // notes the context; not interrupted by cancellation
      reason = wake_reason::granted;
      return scope_.live_ == 0;
    }
    void await_suspend(std::coroutine_handle<> awaiting) noexcept {
      scope_.joiner_ = this;
      suspend(awaiting);
      // Nothing can be thrown there: the children must end first.
      tell_wait_observer(&wait_observer::waits, context().party(), resource_id(&scope_), wait_terms{});
    }
    void await_resume() { leave_observed(); }
    void cancel() noexcept override {}

   private:
    child_scope& scope_;
  };

  void leave() noexcept {
    inside_ = false;
    scope_.leave(opener_);
  }
  [[nodiscard]] bool is_interruption(const std::exception_ptr& failure) const noexcept;
  [[noreturn]] void rethrow_all();

  root_context& opener_;
  cancel_scope scope_;
  std::size_t live_ = 0;
  coroutine_waiter* joiner_ = nullptr;
  /// Apart from the others, so that keeping it takes no memory.
  std::exception_ptr first_failure_;
  std::vector<std::exception_ptr> further_failures_;
  /// Cancellation has cut something short inside.
  bool interrupted_ = false;
  bool inside_ = true;
};

/// A child chain that runs a task.
template <class T>
class child_context : public root_context {
 public:
  child_context(child_scope& parent, task<T> work)
      : root_context(parent.owner()), parent_(parent), work_(std::move(work)) {
    begin(parent.scope(), work_.handle());
  }

  void start() noexcept {
    parent_.child_started();
    tell_wait_observer(&wait_observer::works_at, resource_id(&parent_), this->party());
    this->owner().resume_soon(*this);
  }
  [[nodiscard]] T take() { return work_.handle().promise().take(); }
  [[nodiscard]] const std::exception_ptr& failure() const { return work_.handle().promise().exception(); }

 protected:
  ~child_context() = default;
  void end_child(child_scope::on_failure then) noexcept {
    tell_wait_observer(&wait_observer::has_done, resource_id(&parent_), this->party());
    parent_.child_ended(failure(), then);
  }

 private:
  child_scope& parent_;
  task<T> work_;
};

/// One that frees itself at its end, once it has been started; its result is dropped.
template <class T>
class detached_child : public child_context<T> {
 public:
  detached_child(child_scope& parent, task<T> work) : child_context<T>(parent, std::move(work)) {}
  virtual ~detached_child() = default;
  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* block, std::size_t size) noexcept { free_frame(block, size); }

 private:
  void finished() noexcept override {
    this->unlink();
    this->end_child(child_scope::on_failure::cancel_the_rest);
    delete this;
  }
};

template <class T>
class named_detached_child final : public detached_child<T> {
 public:
  named_detached_child(child_scope& parent, task<T> work, std::string_view name)
      : detached_child<T>(parent, std::move(work)), name_(name) {}
  [[nodiscard]] std::string_view name() const noexcept override { return name_; }

 private:
  std::string name_;
};

struct tell_nobody {
  template <class Child>
  void operator()(Child&) const noexcept {}
};

/// What a child is made from; lets a tuple construct one in place.
template <class T, class Ended = tell_nobody>
struct child_seed {
  child_scope& parent;
  task<T> work;
  child_scope::on_failure then;
  Ended ended{};
};

/// One whose opener keeps it, starts it, and takes the result after join(). `Ended` is told which one has
/// ended, before the joiner is.
template <class T, class Ended = tell_nobody>
class kept_child final : public child_context<T> {
 public:
  explicit kept_child(child_seed<T, Ended>&& seed)
      : child_context<T>(seed.parent, std::move(seed.work)),
        then_(seed.then),
        ended_(std::move(seed.ended)) {}

 private:
  void finished() noexcept override {
    this->unlink();
    ended_(*this);
    this->end_child(then_);
  }

  child_scope::on_failure then_;
  [[no_unique_address]] Ended ended_;
};

/// Children of one type, started together in their order.
template <class T, class Ended = tell_nobody>
class child_list {
 public:
  using child = kept_child<T, Ended>;

  /// `ended_of(i)` is what is told of the end of number i.
  template <class F>
  child_list(child_scope& parent, std::vector<task<T>>& works, child_scope::on_failure then, F ended_of) {
    for (task<T>& work : works)
      children_.emplace_back(child_seed<T, Ended>{parent, std::move(work), then, ended_of(children_.size())});
    for (child& one : children_)
      one.start();
  }
  child_list(child_scope& parent, std::vector<task<T>>& works, child_scope::on_failure then)
      : child_list(parent, works, then, [](std::size_t) { return Ended{}; }) {}

  [[nodiscard]] std::size_t size() const noexcept { return children_.size(); }
  [[nodiscard]] child& operator[](std::size_t index) noexcept { return children_[index]; }
  [[nodiscard]] auto begin() noexcept { return children_.begin(); }
  [[nodiscard]] auto end() noexcept { return children_.end(); }

 private:
  std::deque<child> children_; // never moved
};

} // namespace fourfold::detail
