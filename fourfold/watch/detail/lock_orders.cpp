#include <fourfold/watch/detail/lock_orders.hpp>

#include <algorithm>
#include <utility>

namespace fourfold::detail {
namespace {

bool contains(const std::vector<resource_id>& locks, resource_id lock) noexcept {
  return std::find(locks.begin(), locks.end(), lock) != locks.end();
}

bool share_a_gate(const lock_order& a, const lock_order& b) noexcept {
  return std::any_of(a.gates.begin(), a.gates.end(),
                     [&](resource_id gate) { return contains(b.gates, gate); });
}

} // namespace

bool lock_orders::knows(resource_id first, resource_id second) const {
  const auto after_first = orders_.find(first);
  return after_first != orders_.end() && after_first->second.contains(second);
}

std::vector<lock_order*> lock_orders::note(lock_order seen) {
  auto& after_first = orders_[seen.first];
  const auto [at, is_new] = after_first.try_emplace(seen.second, seen);
  lock_order& order = at->second;
  if (!is_new) {
    const auto gone =
        std::erase_if(order.gates, [&](resource_id gate) { return !contains(seen.gates, gate); });
    if (gone == 0)
      return {};
  }
  if (order.reported)
    return {};
  std::vector<resource_id> visited;
  std::vector<lock_order*> path{&order};
  if (!reach(seen.second, seen.first, visited, path))
    return {};
  for (lock_order* one : path)
    one->reported = true;
  return path;
}

bool lock_orders::reach(resource_id from, resource_id to, std::vector<resource_id>& visited,
                        std::vector<lock_order*>& path) {
  visited.push_back(from);
  const auto after = orders_.find(from);
  if (after == orders_.end())
    return false;
  for (auto& [next, order] : after->second) {
    const bool apart =
        std::none_of(path.begin(), path.end(), [&, &candidate = order](const lock_order* before) {
          return share_a_gate(*before, candidate);
        });
    if (!apart || contains(visited, next))
      continue;
    path.push_back(&order);
    if (next == to || reach(next, to, visited, path))
      return true;
    path.pop_back();
  }
  return false;
}

void lock_orders::forget(resource_id lock) {
  orders_.erase(lock);
  for (auto at = orders_.begin(); at != orders_.end();) {
    at->second.erase(lock);
    at = at->second.empty() ? orders_.erase(at) : std::next(at);
  }
}

} // namespace fourfold::detail
