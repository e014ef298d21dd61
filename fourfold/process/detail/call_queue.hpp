#pragma once

#include <fourfold/base/intrusive_list.hpp>
#include <fourfold/base/priority.hpp>
#include <fourfold/process/detail/process_call.hpp>

#include <array>
#include <cstddef>

namespace fourfold::detail {

/// The calls that wait for a worker. The most urgent first, and of equally urgent ones the first that came. Functions
/// and coroutine functions stand in lists of their own, since workers may have room for the one kind and not for the
/// other. One thread at a time.
class call_queue {
 public:
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] bool empty(call_kind kind) const noexcept { return sizes_[place_of(kind)] == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  void push_back(process_call& call) noexcept {
    list_of(call).push_back(call);
    count(call, 1);
  }
  /// In front of the equally urgent ones: it has waited before.
  void push_front(process_call& call) noexcept {
    list_of(call).push_front(call);
    count(call, 1);
  }
  void remove(process_call& call) noexcept {
    call.unlink();
    count(call, static_cast<std::size_t>(-1));
  }

  /// The next one of the wanted kinds, or null. It stays.
  [[nodiscard]] process_call* first(bool functions, bool coroutines) noexcept {
    if (size_ == 0)
      return nullptr;
    for (auto& level : levels_) {
      process_call* function = functions && !level[0].empty() ? &level[0].front() : nullptr;
      process_call* coroutine = coroutines && !level[1].empty() ? &level[1].front() : nullptr;
      if (function == nullptr || (coroutine != nullptr && coroutine->id < function->id))
        function = coroutine;
      if (function != nullptr)
        return function;
    }
    return nullptr;
  }

  /// Takes all, in the order of their urgency.
  void take_all(intrusive_list<process_call>& taken) noexcept {
    for (auto& level : levels_) {
      for (auto& list : level)
        taken.splice_back(list);
    }
    size_ = 0;
    sizes_ = {};
  }

 private:
  static std::size_t place_of(call_kind kind) noexcept { return kind == call_kind::coroutine ? 1 : 0; }
  intrusive_list<process_call>& list_of(const process_call& call) noexcept {
    return levels_[static_cast<std::size_t>(call.options.priority)][place_of(call.kind())];
  }
  void count(const process_call& call, std::size_t one) noexcept {
    size_ += one;
    sizes_[place_of(call.kind())] += one;
  }

  std::array<std::array<intrusive_list<process_call>, 2>, priority_levels> levels_;
  std::size_t size_ = 0;
  std::array<std::size_t, 2> sizes_{};
};

} // namespace fourfold::detail
