#include <fourfold/base/futex.hpp>
#include <fourfold/thread/detail/idle_workers.hpp>

#include <algorithm>

namespace fourfold::detail {

bool sleeper::sleep_until(clock::time_point deadline) noexcept {
  while (ordered() == order::sleep) {
    if (!futex_wait(word_, 0, deadline))
      return ordered() != order::sleep;
  }
  return true;
}

void sleeper::wake(order what) noexcept {
  // Release: the sleeper sees what its waker did. It may be gone once the order is readable; the futex allows
  // for that.
  word_.store(static_cast<std::uint32_t>(what), std::memory_order_release);
  futex_wake_one(word_);
}

idle_workers::idle_workers(unsigned wanted, unsigned lasting, unsigned max_spares) noexcept
    : wanted_(wanted), lasting_(lasting), max_spares_(max_spares) {}

idle_workers::help idle_workers::wake_one(starting how) noexcept {
  sleeper* chosen = nullptr;
  {
    const std::lock_guard guard(lock_);
    const std::uint64_t counts = counts_.load(std::memory_order_relaxed);
    if (over_ || !should_wake(counts))
      return help::none;
    if (sleepers_.empty()) {
      if (how == starting::never)
        return help::none;
      if (const help refusal = may_start(counts, how); refusal != help::start_thread)
        return refusal;
      ++total_;
    } else {
      chosen = &sleepers_.back();
      chosen->unlink();
      --asleep_;
    }
    counts_.fetch_add(one_awake + one_searching, std::memory_order_seq_cst);
  }
  if (chosen == nullptr)
    return help::start_thread;
  chosen->wake(sleeper::order::work);
  return help::woken;
}

idle_workers::help idle_workers::may_start(std::uint64_t counts, starting how) const noexcept {
  if (total_ < wanted())
    return help::start_thread;
  const std::uint64_t spares = total_ - wanted();
  if (spares >= max_spares_)
    return help::none;
  // Beyond this many, blocked jobs only get a stand-in when nobody runs at all. Without the rule, jobs that
  // all want one mutex would become a thread each.
  if (spares < std::max<std::uint64_t>(8, wanted()))
    return help::start_thread;
  if (awake(counts) > 0)
    return help::none;
  return how == starting::generously ? help::stuck : help::start_thread;
}

void idle_workers::start_failed() noexcept {
  const std::lock_guard guard(lock_);
  --total_;
  counts_.fetch_sub(one_awake + one_searching, std::memory_order_seq_cst);
}

void idle_workers::count_started() noexcept {
  const std::lock_guard guard(lock_);
  ++total_;
  counts_.fetch_add(one_awake + one_searching, std::memory_order_seq_cst);
}

bool idle_workers::begin_search() noexcept {
  std::uint64_t counts = counts_.load(std::memory_order_relaxed);
  do {
    if (searching(counts) >= std::max(1U, wanted() / 2))
      return false;
  } while (!counts_.compare_exchange_weak(counts, counts + one_searching, std::memory_order_seq_cst));
  return true;
}

void idle_workers::fall_asleep(sleeper& s, bool was_searching) noexcept {
  const std::lock_guard guard(lock_);
  s.reset();
  sleepers_.push_back(s);
  ++asleep_;
  counts_.fetch_sub(one_awake + (was_searching ? one_searching : 0), std::memory_order_seq_cst);
}

bool idle_workers::fall_asleep_if_surplus(sleeper& s) noexcept {
  if (awake(counts_.load(std::memory_order_relaxed)) <= wanted())
    return false;
  const std::lock_guard guard(lock_);
  std::uint64_t counts = counts_.load(std::memory_order_relaxed);
  do {
    if (awake(counts) <= wanted())
      return false;
  } while (!counts_.compare_exchange_weak(counts, counts - one_awake, std::memory_order_seq_cst));
  s.reset();
  sleepers_.push_back(s);
  ++asleep_;
  return true;
}

bool idle_workers::get_up(sleeper& s) noexcept {
  const std::lock_guard guard(lock_);
  if (!s.linked() || !should_wake(counts_.load(std::memory_order_relaxed)))
    return false;
  s.unlink();
  --asleep_;
  counts_.fetch_add(one_awake + one_searching, std::memory_order_seq_cst);
  return true;
}

bool idle_workers::retire(sleeper& s) noexcept {
  const std::lock_guard guard(lock_);
  if (!s.linked() || total_ <= std::min<std::uint64_t>(lasting_, wanted()))
    return false;
  s.unlink();
  --asleep_;
  --total_;
  return true;
}

bool idle_workers::may_retire() noexcept {
  const std::lock_guard guard(lock_);
  return total_ > std::min<std::uint64_t>(lasting_, wanted());
}

} // namespace fourfold::detail
