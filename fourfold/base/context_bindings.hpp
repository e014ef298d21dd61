#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace fourfold {

class encoder;

namespace detail {

/// One value bound to one `context_value`, and those that were bound before it. Immutable and shared by
/// everything that inherited it.
class context_node {
 public:
  context_node(const context_node&) = delete;
  context_node& operator=(const context_node&) = delete;

  void add_reference() const noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  /// Frees it, and those before it that nobody else has, when this was the last reference.
  static void drop_reference(const context_node* node) noexcept;

  /// The `context_value`, or null if it came from another process.
  [[nodiscard]] const void* key() const noexcept { return key_; }
  [[nodiscard]] const context_node* parent() const noexcept { return parent_; }

  /// Appends its name, its type's mark and its value, if it can travel to another process.
  virtual bool encode(encoder& out) const = 0;
  /// Whether it is hidden by `later`, a binding of the same value.
  [[nodiscard]] virtual bool same_value(const context_node& later) const noexcept = 0;

 protected:
  /// Takes over a reference to `parent`.
  context_node(const void* key, const context_node* parent) noexcept : key_(key), parent_(parent) {}
  virtual ~context_node() = default;

 private:
  const void* key_;
  const context_node* parent_;
  mutable std::atomic<std::uint32_t> references_{1};
};

} // namespace detail

/// All that is bound at some moment: what work takes along from where it was started. One pointer, null as long as
/// nothing is bound; copying it counts a reference. For those who write executors: see current_context().
class context_bindings {
 public:
  context_bindings() noexcept = default;
  /// Takes over a reference.
  explicit context_bindings(const detail::context_node* adopted) noexcept : newest_(adopted) {}
  context_bindings(const context_bindings& other) noexcept : newest_(other.newest_) {
    if (newest_ != nullptr)
      newest_->add_reference();
  }
  context_bindings(context_bindings&& other) noexcept : newest_(std::exchange(other.newest_, nullptr)) {}
  context_bindings& operator=(context_bindings other) noexcept {
    std::swap(newest_, other.newest_);
    return *this;
  }
  ~context_bindings() {
    if (newest_ != nullptr)
      detail::context_node::drop_reference(newest_);
  }

  [[nodiscard]] bool empty() const noexcept { return newest_ == nullptr; }
  [[nodiscard]] const detail::context_node* newest() const noexcept { return newest_; }
  [[nodiscard]] const detail::context_node* release() noexcept { return std::exchange(newest_, nullptr); }

 private:
  const detail::context_node* newest_ = nullptr;
};

} // namespace fourfold
