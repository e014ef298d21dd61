#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/intrusive_list.hpp>
#include <fourfold/base/small_lock.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>

namespace fourfold::detail {

/// A thread of the pool as its sleep sees it.
class sleeper : public list_links {
 public:
  enum class order : std::uint32_t { sleep, work, end };

  /// False when the deadline came first.
  bool sleep_until(clock::time_point deadline) noexcept;
  void wake(order what) noexcept;

  [[nodiscard]] order ordered() const noexcept {
    // Acquire: pairs with the release in wake().
    return static_cast<order>(word_.load(std::memory_order_acquire));
  }
  /// Before it is put to sleep again.
  void reset() noexcept { word_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> word_{0};
};

/// How many threads are awake (run or search), how many of those search, and who sleeps: the pool's event
/// count.
///
/// No wake-up is lost: who adds work publishes it first and then reads the counts; who goes to sleep lowers
/// the counts first and then looks for work; all four are sequentially consistent, so one of the two sees the
/// other. And no wake-up is wasted: while a thread searches it will find the work, and who stops searching
/// because it found some looks again on behalf of what it did not take.
class idle_workers {
 public:
  /// `lasting`: how many threads stay however long they are idle.
  explicit idle_workers(unsigned wanted, unsigned lasting, unsigned max_spares) noexcept;

  /// How many are to be awake; lowered if the system does not give as many threads.
  void set_wanted(unsigned wanted) noexcept { wanted_.store(wanted, std::memory_order_relaxed); }
  [[nodiscard]] unsigned wanted() const noexcept { return wanted_.load(std::memory_order_relaxed); }

  /// Whether new work needs somebody to be woken: nobody searches and fewer are awake than wanted.
  [[nodiscard]] bool should_wake() const noexcept {
    return should_wake(counts_.load(std::memory_order_seq_cst));
  }

  /// How readily to start a thread when nobody sleeps.
  enum class starting : std::uint8_t { never, generously, when_stuck };
  enum class help : std::uint8_t { none, woken, start_thread, stuck };
  /// Wakes a sleeper as a searcher. `start_thread`: nobody sleeps, and the caller is to start a thread,
  /// counted already as one that searches, or else call start_failed(). `stuck`: many spares exist, all are
  /// blocked; if that is still so a little later, the caller asks again with `when_stuck`.
  [[nodiscard]] help wake_one(starting how) noexcept;
  void start_failed() noexcept;
  /// Counts a thread that starts with the pool.
  void count_started() noexcept;

  /// False when enough search already; then the thread goes to sleep without searching.
  [[nodiscard]] bool begin_search() noexcept;
  /// The thread found something. True when it was the last searcher: it is to look whether there is more to
  /// wake for.
  bool end_search() noexcept {
    return (counts_.fetch_sub(one_searching, std::memory_order_seq_cst) / one_searching) == 1;
  }

  /// Puts `s` on the list of sleepers, not awake any more. It must then look for work once more.
  void fall_asleep(sleeper& s, bool was_searching) noexcept;
  /// The same for one too many; false, doing nothing, if there are not more awake than wanted.
  bool fall_asleep_if_surplus(sleeper& s) noexcept;
  /// There is work after all: true if `s` is awake again as a searcher; false if it is being woken or not
  /// needed.
  bool get_up(sleeper& s) noexcept;
  /// Takes a surplus thread that slept long enough out for good; false if it is needed or being woken.
  bool retire(sleeper& s) noexcept;
  [[nodiscard]] bool may_retire() noexcept;

  void blocked() noexcept { counts_.fetch_sub(one_awake, std::memory_order_seq_cst); }
  void unblocked() noexcept { counts_.fetch_add(one_awake, std::memory_order_seq_cst); }

  /// If every thread sleeps and `close()` says yes, ends them all and returns true. `close` runs under the
  /// lock.
  template <class Close>
  bool end_all_if_asleep(Close&& close) noexcept {
    const std::lock_guard guard(lock_);
    if (asleep_ != total_ || !close())
      return false;
    asleep_ = 0;
    over_ = true;
    // Under the lock, for a sleeper whose time is up at this moment looks there whether it is still listed.
    while (!sleepers_.empty())
      sleepers_.pop_front().wake(sleeper::order::end);
    return true;
  }

 private:
  static constexpr std::uint64_t one_awake = 1;
  static constexpr std::uint64_t one_searching = std::uint64_t{1} << 32;

  static std::uint64_t awake(std::uint64_t counts) noexcept { return counts & (one_searching - 1); }
  static std::uint64_t searching(std::uint64_t counts) noexcept { return counts / one_searching; }
  /// Whether one more thread may exist; needs lock_.
  [[nodiscard]] help may_start(std::uint64_t counts, starting how) const noexcept;
  [[nodiscard]] bool should_wake(std::uint64_t counts) const noexcept {
    return searching(counts) == 0 && awake(counts) < wanted();
  }

  // Read on every submit, written when a thread blocks, searches or sleeps: a cache line for itself.
  alignas(64) std::atomic<std::uint64_t> counts_{0};
  std::atomic<unsigned> wanted_;

  alignas(64) small_lock lock_;
  // Guarded by lock_. The latest to sleep is woken first: its caches are warm, and those beyond the wanted
  // number sleep undisturbed until they end.
  intrusive_list<sleeper> sleepers_;
  std::uint64_t asleep_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t lasting_;
  std::uint64_t max_spares_;
  // All threads have been told to end; nobody is started any more, however late a submit looks.
  bool over_ = false;
};

} // namespace fourfold::detail
