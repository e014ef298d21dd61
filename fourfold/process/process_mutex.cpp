#include <fourfold/base/cpu_count.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/base/futex.hpp>
#include <fourfold/base/misuse.hpp>
#include <fourfold/base/waiter.hpp>
#include <fourfold/process/detail/process_futex.hpp>
#include <fourfold/process/detail/system_call.hpp>
#include <fourfold/process/process_mutex.hpp>

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>

namespace fourfold {
namespace {

// Where the kernel finds the word, seen from the link.
constexpr long word_from_link = -32;

/// What this thread needs to lock, asked of the kernel once.
struct thread_record {
  std::uint32_t id = 0;
  robust_list_head* held = nullptr; // glibc's, in this thread's own memory; the kernel reads it at the end
  /// The latest mutexes held and the links after theirs, out of reach of other processes.
  struct step {
    robust_list* link = nullptr;
    robust_list* after = nullptr;
  };
  std::array<step, 8> steps{};
  std::size_t depth = 0;
};
constinit thread_local thread_record this_thread;

[[gnu::noinline, gnu::cold]] void fill(thread_record& record) noexcept {
  // A forked child is another thread, and glibc gives it an empty list at the same place.
  static const int forgets_in_child = ::pthread_atfork(nullptr, nullptr, [] { this_thread = {}; });
  static_cast<void>(forgets_in_child);
  std::size_t size = 0;
  if (::syscall(SYS_get_robust_list, 0, &record.held, &size) != 0 || record.held == nullptr ||
      record.held->futex_offset != word_from_link) {
    misuse("process_mutex: this C library keeps no list of robust mutexes, or an unknown kind of it");
  }
  record.id = static_cast<std::uint32_t>(::gettid());
}

thread_record& current_thread() noexcept {
  if (this_thread.id == 0) [[unlikely]]
    fill(this_thread);
  return this_thread;
}

// The list is read by the kernel after this thread's last instruction, so only the compiler's order matters.
void keep_order() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

robust_list* as_link(void** next) noexcept { return reinterpret_cast<robust_list*>(next); }

/// Tells the kernel that this thread is about to take or to give back a mutex, for the instructions between
/// the word and the list.
class pending_scope {
 public:
  pending_scope(robust_list_head& held, robust_list* link) noexcept : held_(held) {
    held_.list_op_pending = link;
    keep_order();
  }
  ~pending_scope() {
    keep_order();
    held_.list_op_pending = nullptr;
  }
  pending_scope(const pending_scope&) = delete;
  pending_scope& operator=(const pending_scope&) = delete;

 private:
  robust_list_head& held_;
};

} // namespace

bool process_mutex::try_lock(last_holder& last) noexcept {
  static_assert(offsetof(process_mutex, next_) == -word_from_link);
  thread_record& self = current_thread();
  robust_list* const link = as_link(&next_);
  const pending_scope pending(*self.held, link);
  // Relaxed: only a guess at what the exchange will find.
  std::uint32_t seen = word_.load(std::memory_order_relaxed);
  do {
    if ((seen & FUTEX_TID_MASK) != 0)
      return false;
    // Acquire: what the holder before did is seen; pairs with the release in unlock(), and with the kernel's
    // own exchange when the holder died.
  } while (!word_.compare_exchange_weak(seen, self.id | (seen & FUTEX_WAITERS), std::memory_order_acquire,
                                        std::memory_order_relaxed));
  last = (seen & FUTEX_OWNER_DIED) != 0 ? last_holder::died : last_holder::unlocked;
  robust_list* const first = self.held->list.next;
  next_ = first;
  // glibc's lists are linked both ways. The head itself has no such place in front of it.
  if (first != &self.held->list)
    *(reinterpret_cast<void**>(first) - 1) = link;
  previous_ = &self.held->list;
  if (self.depth < self.steps.size())
    self.steps[self.depth] = {.link = link, .after = first};
  ++self.depth;
  keep_order();
  self.held->list.next = link;
  return true;
}

last_holder process_mutex::lock(const wait_limit& limit) {
  if (limit.token.cancellation_requested())
    throw_cancelled();
  last_holder last = last_holder::unlocked;
  if (!try_lock(last))
    wait(limit, last);
  return last;
}

void process_mutex::wait(const wait_limit& limit, last_holder& last) {
  const blocking_scope blocking;
  const cancellation_callback on_cancellation(limit.token,
                                              [this]() noexcept { detail::wake_all_processes(word_); });
  const std::uint32_t self = current_thread().id;
  static const int looks = cpu_count() > 1 ? 100 : 0;
  for (int i = 0; i < looks; ++i) {
    if (try_lock(last))
      return;
    detail::pause();
  }
  // A wake-up can be lost: who was woken may be killed, or reach its limit, before it has the lock, while somebody who
  // never slept has it. And a request for cancellation that comes between the look at it and the sleep wakes nobody.
  constexpr auto look_again = std::chrono::milliseconds(50);
  for (;;) {
    if (try_lock(last)) {
      // Others may still sleep, which the word has forgotten since somebody unlocked it and woke us.
      word_.fetch_or(FUTEX_WAITERS, std::memory_order_relaxed);
      return;
    }
    if (limit.deadline != never && clock::now() >= limit.deadline)
      throw timed_out();
    if (limit.token.cancellation_requested())
      throw_cancelled();
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    if ((seen & FUTEX_TID_MASK) == 0)
      continue;
    if ((seen & FUTEX_TID_MASK) == self)
      throw error("process_mutex: locked by the thread that holds it already");
    if ((seen & FUTEX_WAITERS) == 0 &&
        !word_.compare_exchange_weak(seen, seen | FUTEX_WAITERS, std::memory_order_relaxed)) {
      continue;
    }
    const auto until = std::min(limit.deadline, clock::now() + look_again);
    static_cast<void>(detail::wait_across_processes(word_, seen | FUTEX_WAITERS, until));
  }
}

void process_mutex::unlock() noexcept {
  thread_record& self = current_thread();
  robust_list* const link = as_link(&next_);
  const pending_scope pending(*self.held, link);
  robust_list* before = &self.held->list;
  robust_list* after = nullptr;
  const std::size_t latest = self.depth - 1;
  if (latest < self.steps.size() && self.steps[latest].link == link && before->next == link) {
    after = self.steps[latest].after; // last locked, first unlocked
    self.steps[latest] = {};
    --self.depth;
  } else {
    while (before->next != link) {
      before = before->next;
      if (before == &self.held->list)
        misuse("a process_mutex was unlocked by a thread that does not hold it");
    }
    after = static_cast<robust_list*>(next_);
    // What is known of the others may be wrong now.
    self.steps = {};
    if (self.depth > 0)
      --self.depth;
  }
  before->next = after;
  if (after != &self.held->list)
    *(reinterpret_cast<void**>(after) - 1) = before;
  keep_order();
  // Release: pairs with the acquire in try_lock().
  if ((word_.exchange(0, std::memory_order_release) & FUTEX_WAITERS) != 0)
    detail::wake_one_process(word_);
}

} // namespace fourfold
