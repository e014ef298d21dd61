#pragma once

#include <fourfold/base/codec.hpp>
#include <fourfold/base/context_bindings.hpp>
#include <fourfold/base/context_scope.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

namespace fourfold {
namespace detail {

template <class T>
class bound_value : public context_node {
 public:
  bound_value(const void* key, const context_node* parent, std::string_view name, T bound)
      : context_node(key, parent), value(std::move(bound)), name_(name) {}

  [[nodiscard]] static std::string_view type_mark() noexcept { return typeid(T).name(); }

  bool encode([[maybe_unused]] encoder& out) const override {
    if constexpr (encodable<T>) {
      const byte_buffer bytes = fourfold::encode(value);
      out.write(std::string(name_), std::string(type_mark()));
      out.write_sequence(bytes.bytes());
      return true;
    } else {
      return false;
    }
  }
  [[nodiscard]] bool same_value(const context_node& later) const noexcept override {
    return key() == later.key();
  }

  const T value;

 private:
  std::string_view name_;
};

/// One that came from another process, as bytes until somebody asks for it.
class carried_value final : public context_node {
 public:
  carried_value(const context_node* parent, std::string name, std::string type, std::vector<std::byte> bytes)
      : context_node(nullptr, parent),
        name_(std::move(name)),
        type_(std::move(type)),
        bytes_(std::move(bytes)) {}
  carried_value(const carried_value&) = delete;
  carried_value& operator=(const carried_value&) = delete;
  ~carried_value() override;

  bool encode(encoder& out) const override;
  [[nodiscard]] bool same_value(const context_node& later) const noexcept override;

  [[nodiscard]] bool is(std::string_view name, std::string_view type) const noexcept {
    return name == name_ && type == type_;
  }
  template <class T>
  const T& value() const {
    // Acquire: the value that another thread has decoded.
    const context_node* decoded = decoded_.load(std::memory_order_acquire);
    if (decoded == nullptr) {
      context_bindings fresh(new bound_value<T>(nullptr, nullptr, name_, fourfold::decode<T>(bytes_)));
      // Release: publishes the value; acquire: another's, if it came first.
      if (decoded_.compare_exchange_strong(decoded, fresh.newest(), std::memory_order_acq_rel))
        decoded = fresh.release();
    }
    return static_cast<const bound_value<T>*>(decoded)->value;
  }

 private:
  std::string name_;
  std::string type_;
  std::vector<std::byte> bytes_;
  mutable std::atomic<const context_node*> decoded_{nullptr};
};

} // namespace detail

/// A value that follows the work: bound in a scope, it is seen by all that runs there, by the tasks awaited and
/// spawned from there, and by the calls submitted from there to a loop, to a thread of a pool and, if its type is
/// encodable, to another process. A request's number for log lines, say.
///
///   context_value<std::string> request("request", "none");     // a global, usually
///
///   task<> handle(std::string id) {
///     const auto bound = request.bind(id);       // until the end of this scope
///     co_await parse();                          // request.get() == id, there and in what it starts
///   }
///
/// What was started keeps what was bound then; what is bound later, or in a child, is not seen elsewhere. Between
/// processes a value is known by its name and type, so these should be unique in the program.
///
/// Never waits. Threads: get() and bind() any. The value is shared by all who see it, so T's const functions must
/// allow for that. A scope ends in the coroutine or on the thread where it began; in a generator it must not span
/// a `co_yield`. As long as nothing is bound, work carries one null pointer. get() looks through what is bound,
/// latest first. Bad at: hundreds of values, and results: nothing is handed back to who started the work.
template <class T>
class context_value {
 public:
  /// `name` lives as long as the program: a literal. `otherwise` is the value where none is bound.
  explicit context_value(std::string_view name, T otherwise = T())
      : name_(name), otherwise_(std::move(otherwise)) {}
  context_value(const context_value&) = delete;
  context_value& operator=(const context_value&) = delete;

  /// The latest that is bound here. Valid as long as that binding, or work that has inherited it. Throws
  /// decode_error if it came from another process and does not make sense.
  [[nodiscard]] const T& get() const {
    for (const auto* node = coroutine_context::bindings_slot(); node != nullptr; node = node->parent()) {
      if (node->key() == this)
        return static_cast<const detail::bound_value<T>*>(node)->value;
      if constexpr (encodable<T>) {
        if (node->key() != nullptr)
          continue;
        const auto* carried = static_cast<const detail::carried_value*>(node);
        if (carried->is(name_, detail::bound_value<T>::type_mark()))
          return carried->template value<T>();
      }
    }
    return otherwise_;
  }

  /// Binds `value` until the scope that keeps the returned object ends.
  [[nodiscard]] context_scope bind(T value) const {
    context_bindings before = current_context();
    const auto* node = new detail::bound_value<T>(this, before.newest(), name_, std::move(value));
    static_cast<void>(before.release()); // the node's now
    return context_scope(context_bindings(node));
  }

 private:
  std::string_view name_;
  T otherwise_;
};

/// For those who write executors of other processes: what is bound here and can travel, and the same over there.
void encode_context(encoder& out);
[[nodiscard]] context_bindings decode_context(decoder& in);

} // namespace fourfold
