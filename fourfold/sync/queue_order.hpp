#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <set>
#include <utility>

namespace fourfold {

// The order in which a queue gives its items. An order names the storage of a queue of T:
//
//   void put(T&& item);            // or throws, and then nothing has changed
//   T& next() noexcept;            // the item that leaves next; not when empty
//   void drop_next() noexcept;     // after it was moved from
//   std::size_t size() const noexcept;

/// First in, first out.
struct fifo {
  template <class T>
  class storage {
   public:
    void put(T&& item) { items_.push_back(std::move(item)); }
    [[nodiscard]] T& next() noexcept { return items_.front(); }
    void drop_next() noexcept { items_.pop_front(); }
    [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }

   private:
    std::deque<T> items_;
  };
};

/// Last in, first out.
struct lifo {
  template <class T>
  class storage {
   public:
    void put(T&& item) { items_.push_back(std::move(item)); }
    [[nodiscard]] T& next() noexcept { return items_.back(); }
    void drop_next() noexcept { items_.pop_back(); }
    [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }

   private:
    std::deque<T> items_;
  };
};

/// The item that `Compare` puts before the others comes first; of equal ones, the first that came.
template <class Compare = std::less<>>
struct by_priority {
  template <class T>
  class storage {
   public:
    void put(T&& item) { items_.insert(std::move(item)); }
    // Not a modification of a key: the item is moved out to leave the tree at once.
    [[nodiscard]] T& next() noexcept { return const_cast<T&>(*items_.begin()); }
    void drop_next() noexcept { items_.erase(items_.begin()); }
    [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }

   private:
    // A tree and not a heap: it keeps the order of equal items, moves an item once in and once out, and is left
    // whole when a comparison or a move throws.
    std::multiset<T, Compare> items_;
  };
};

} // namespace fourfold
