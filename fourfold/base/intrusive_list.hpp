#pragma once

#include <utility>

namespace fourfold {

/// The links of an object that stands in at most one intrusive_list. Unlinked, it points at nothing.
class list_links {
 public:
  list_links() noexcept = default;
  list_links(const list_links&) = delete;
  list_links& operator=(const list_links&) = delete;

  [[nodiscard]] bool linked() const noexcept { return next_ != nullptr; }

  /// Leaves whatever list this stands in, in constant time and without knowing the list.
  void unlink() noexcept {
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
  }

 private:
  template <class T>
  friend class intrusive_list;

  list_links* next_ = nullptr;
  list_links* previous_ = nullptr;
};

/// A first-in-first-out list of objects that derive from `list_links`; it allocates nothing and owns nothing.
template <class T>
class intrusive_list {
 public:
  intrusive_list() noexcept { reset(); }
  intrusive_list(const intrusive_list&) = delete;
  intrusive_list& operator=(const intrusive_list&) = delete;

  [[nodiscard]] bool empty() const noexcept { return head_.next_ == &head_; }
  [[nodiscard]] T& front() noexcept { return static_cast<T&>(*head_.next_); }
  [[nodiscard]] T& back() noexcept { return static_cast<T&>(*head_.previous_); }

  void push_back(T& item) noexcept { insert_before(head_, item); }
  void push_front(T& item) noexcept { insert_before(*head_.next_, item); }

  /// Puts `item` behind all that `before(item, other)` does not put it before, in a list that is in that
  /// order: from the back, so that one that belongs near the end finds its place at once.
  template <class Before>
  void insert_sorted(T& item, Before before) noexcept {
    list_links* place = &head_;
    while (place->previous_ != &head_ && before(item, static_cast<T&>(*place->previous_)))
      place = place->previous_;
    insert_before(*place, item);
  }

  /// The list must not be empty.
  T& pop_front() noexcept {
    T& item = front();
    links(item).unlink();
    return item;
  }

  /// Takes all items of `other`, in order, behind this list's own.
  void splice_back(intrusive_list& other) noexcept {
    if (other.empty())
      return;
    list_links* first = other.head_.next_;
    list_links* last = other.head_.previous_;
    other.reset();
    first->previous_ = head_.previous_;
    head_.previous_->next_ = first;
    last->next_ = &head_;
    head_.previous_ = last;
  }

  /// Calls `f` for each item; `f` may unlink the item it is given and no other.
  template <class F>
  void for_each(F&& f) {
    for (list_links* at = head_.next_; at != &head_;) {
      list_links* following = at->next_;
      f(static_cast<T&>(*at));
      at = following;
    }
  }

 private:
  static list_links& links(T& item) noexcept { return item; }
  static void insert_before(list_links& place, T& item) noexcept {
    list_links& added = item;
    added.next_ = &place;
    added.previous_ = place.previous_;
    place.previous_->next_ = &added;
    place.previous_ = &added;
  }
  void reset() noexcept { head_.next_ = head_.previous_ = &head_; }

  list_links head_;
};

} // namespace fourfold
