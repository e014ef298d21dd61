#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/process/detail/process_call.hpp>

#include <map>
#include <utility>

namespace fourfold::detail {

/// When something is to be done about a call that runs: the calls that may have a time limit, by the next moment of
/// theirs. One thread at a time.
class call_deadlines {
 public:
  /// Makes room for the call's moment, which is `never` for now. Throws std::bad_alloc; nothing below does.
  void enrol(process_call& call) {
    call.deadline = calls_.emplace(never, &call);
    call.has_deadline = true;
  }
  /// Does nothing for a call that is not enrolled.
  void set(process_call& call, clock::time_point time) noexcept {
    if (!call.has_deadline || call.deadline->first == time)
      return;
    auto node = calls_.extract(call.deadline);
    node.key() = time;
    call.deadline = calls_.insert(std::move(node));
  }
  void drop(process_call& call) noexcept {
    if (std::exchange(call.has_deadline, false))
      calls_.erase(call.deadline);
  }

  [[nodiscard]] clock::time_point earliest() const noexcept {
    return calls_.empty() ? never : calls_.begin()->first;
  }
  /// A call whose moment has come, or null.
  [[nodiscard]] process_call* due(clock::time_point now) noexcept {
    return earliest() <= now && earliest() != never ? calls_.begin()->second : nullptr;
  }

 private:
  std::multimap<clock::time_point, process_call*> calls_;
};

} // namespace fourfold::detail
