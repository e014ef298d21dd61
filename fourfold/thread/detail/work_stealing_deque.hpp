#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace fourfold::detail {

/// A deque whose one owner pushes and pops at the bottom while any thread takes the oldest item from the top.
///
/// Chase and Lev, "Dynamic Circular Work-Stealing Deque" (SPAA 2005), with the memory orders of Lê, Pop,
/// Cohen and Zappa Nardelli, "Correct and Efficient Work-Stealing for Weak Memory Models" (PPoPP 2013),
/// except that their stand-alone fences are sequentially consistent operations on `top_` and `bottom_`
/// themselves: ThreadSanitizer does not understand fences, and on x86-64 both are the same one locked
/// instruction.
template <class T>
class work_stealing_deque {
 public:
  work_stealing_deque() {
    rings_.push_back(std::make_unique<ring>(initial_capacity)), ring_ = rings_.back().get();
  }
  work_stealing_deque(const work_stealing_deque&) = delete;
  work_stealing_deque& operator=(const work_stealing_deque&) = delete;

  /// Owner. Makes room for `count` more items; throws std::bad_alloc, having changed nothing.
  void reserve(std::size_t count) {
    const std::int64_t bottom = bottom_.load(std::memory_order_relaxed);
    // Acquire: pairs with the compare-exchange of steal(): a slot is reused only after the thief has read it.
    const std::int64_t top = top_.load(std::memory_order_acquire);
    const std::size_t needed = static_cast<std::size_t>(bottom - top) + count;
    ring* old = ring_.load(std::memory_order_relaxed);
    if (needed <= old->capacity())
      return;
    std::size_t capacity = old->capacity();
    while (capacity < needed)
      capacity *= 2;
    rings_.reserve(rings_.size() + 1);
    rings_.push_back(std::make_unique<ring>(capacity));
    ring* grown = rings_.back().get();
    for (std::int64_t i = top; i < bottom; ++i)
      grown->at(i).store(old->at(i).load(std::memory_order_relaxed), std::memory_order_relaxed);
    // Release: pairs with the acquire in steal(). Thieves may still read the old ring, so it is kept to the
    // end; all old rings together are smaller than the present one.
    ring_.store(grown, std::memory_order_release);
  }

  /// Owner, after reserve(1).
  void push(T* item) noexcept {
    place(0, item);
    publish(1);
  }

  /// Owner, after reserve(n): items put at distance 0 .. n-1 from the bottom appear together with publish(n);
  /// the one at distance 0 is the oldest of them.
  void place(std::size_t distance, T* item) noexcept {
    const auto index = bottom_.load(std::memory_order_relaxed) + static_cast<std::int64_t>(distance);
    ring_.load(std::memory_order_relaxed)->at(index).store(item, std::memory_order_relaxed);
  }
  void publish(std::size_t count) noexcept {
    // Release, pairing with the load in steal(), for what the items point at; sequentially consistent because
    // the caller goes on to look whether somebody sleeps, while who goes to sleep looks whether this is
    // empty.
    bottom_.store(bottom_.load(std::memory_order_relaxed) + static_cast<std::int64_t>(count),
                  std::memory_order_seq_cst);
  }

  /// Owner: takes the newest item, or null.
  T* pop() noexcept {
    const std::int64_t bottom = bottom_.load(std::memory_order_relaxed) - 1;
    // Only thieves move top_, and only upwards: what looks empty to the owner is empty.
    if (top_.load(std::memory_order_relaxed) > bottom)
      return nullptr;
    // Sequentially consistent, both: either a thief sees the lowered bottom or the owner sees the raised top.
    bottom_.store(bottom, std::memory_order_seq_cst);
    std::int64_t top = top_.load(std::memory_order_seq_cst);
    if (top > bottom) {
      bottom_.store(bottom + 1, std::memory_order_relaxed);
      return nullptr;
    }
    T* item = ring_.load(std::memory_order_relaxed)->at(bottom).load(std::memory_order_relaxed);
    if (top == bottom) {
      // The last item: whoever raises top_ has it.
      if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst, std::memory_order_relaxed))
        item = nullptr;
      bottom_.store(bottom + 1, std::memory_order_relaxed);
    }
    return item;
  }

  /// Any thread: takes the oldest item, or null if there is none.
  T* steal() noexcept {
    return steal_if([] { return true; });
  }
  /// The same, or null if `allowed()` is false; asked when it is known which item that is, and before it is taken.
  template <class F>
  T* steal_if(F allowed) noexcept {
    for (;;) {
      std::int64_t top = top_.load(std::memory_order_seq_cst);
      // Sequentially consistent with pop(); acquires what publish() released.
      const std::int64_t bottom = bottom_.load(std::memory_order_seq_cst);
      if (top >= bottom)
        return nullptr;
      // Read before it is ours: if the slot has been reused meanwhile, top_ has moved and the exchange fails.
      T* item = ring_.load(std::memory_order_acquire)->at(top).load(std::memory_order_relaxed);
      if (!allowed())
        return nullptr;
      if (top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst, std::memory_order_relaxed))
        return item;
    }
  }

  /// Any thread.
  [[nodiscard]] bool empty() const noexcept {
    const std::int64_t top = top_.load(std::memory_order_seq_cst);
    return top >= bottom_.load(std::memory_order_seq_cst);
  }

 private:
  static constexpr std::size_t initial_capacity = 64;

  /// Slots by index modulo a power of two.
  class ring {
   public:
    explicit ring(std::size_t capacity)
        : slots_(std::make_unique<std::atomic<T*>[]>(capacity)), mask_(capacity - 1) {}
    [[nodiscard]] std::size_t capacity() const noexcept { return mask_ + 1; }
    std::atomic<T*>& at(std::int64_t index) noexcept {
      return slots_[static_cast<std::size_t>(index) & mask_];
    }

   private:
    std::unique_ptr<std::atomic<T*>[]> slots_;
    std::size_t mask_;
  };

  // Thieves write top_, the owner writes bottom_: a cache line each.
  alignas(64) std::atomic<std::int64_t> top_{0};
  alignas(64) std::atomic<std::int64_t> bottom_{0};
  std::atomic<ring*> ring_{nullptr};
  std::vector<std::unique_ptr<ring>> rings_;
};

} // namespace fourfold::detail
