#pragma once

#include <fourfold/base/wait_observer.hpp>
#include <fourfold/watch/detail/call_stack.hpp>

#include <map>
#include <string>
#include <vector>

namespace fourfold::detail {

/// One lock was waited for while another was held: first `first`, then `second`.
struct lock_order {
  resource_id first = nullptr;
  resource_id second = nullptr;
  /// The first time: who, and where each was taken.
  std::string who = {};
  call_stack first_at = {};
  call_stack second_at = {};
  /// Locks held besides, every time that this order was seen. Two orders with one of these in common never meet.
  std::vector<resource_id> gates = {};
  bool reported = false;
};

/// Every order of two locks ever seen. Not locked itself.
class lock_orders {
 public:
  [[nodiscard]] bool knows(resource_id first, resource_id second) const;
  /// Notes an order; the circle of orders that it closes, beginning with itself, if it is not known yet. The pointers
  /// last until the next call.
  std::vector<lock_order*> note(lock_order seen);
  /// The lock ends.
  void forget(resource_id lock);

 private:
  using orders_of_lock = std::map<resource_id, lock_order>;

  bool reach(resource_id from, resource_id to, std::vector<resource_id>& visited,
             std::vector<lock_order*>& path);

  std::map<resource_id, orders_of_lock> orders_;
};

} // namespace fourfold::detail
