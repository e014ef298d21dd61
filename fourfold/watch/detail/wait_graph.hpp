#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/wait_observer.hpp>
#include <fourfold/watch/deadlock_detection.hpp>
#include <fourfold/watch/detail/call_stack.hpp>
#include <fourfold/watch/detail/lock_orders.hpp>

#include <sys/types.h>

#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace fourfold::detail {

/// Lack of memory costs knowledge and not the program: what was not noted is not found.
template <class F>
void as_memory_allows(F f) noexcept {
  try {
    f();
  } catch (const std::bad_alloc&) { // NOLINT(bugprone-empty-catch)
  }
}

/// Who waits for what, and who has it.
///
/// A party leads to those that it cannot go on without: a waiting one to all that hold or work at what it waits for,
/// and a task also to the thread of its loop, while that one is blocked. All of them are needed, so a circle is a
/// deadlock. What it is told is never ahead of the truth (wait_observer.hpp), so a circle seen under the mutex is one.
class wait_graph final : public wait_observer {
 public:
  explicit wait_graph(deadlock_options options) : options_(std::move(options)) {}

  [[nodiscard]] deadlock_detection::counts found() const;

  void begins_to_observe() noexcept override;
  void ends_to_observe() noexcept override;
  void waits(party_id who, resource_id what, wait_terms terms) noexcept override;
  std::exception_ptr goes_on(party_id who) noexcept override;
  void loop_sleeps(bool begins) noexcept override;
  void created(resource_id lock, std::source_location where) noexcept override;
  void acquired(resource_id lock, lock_request how) noexcept override;
  void releases(resource_id lock) noexcept override;
  void failed_to_acquire(resource_id lock) noexcept override;
  void uses(resource_id queue, queue_role role) noexcept override;
  void works_at(resource_id result, party_id who) noexcept override;
  void has_done(resource_id result, party_id who) noexcept override;
  void cancels(resource_id result) noexcept override;
  void limit_changes(party_id who, int by) noexcept override;
  void tried_in_vain(resource_id what, std::string_view name, std::uint64_t limit) noexcept override;
  void progressed(resource_id what) noexcept override;
  void gone(const void* address) noexcept override;

 private:
  enum class resource_kind : std::uint8_t { result, lock, queue };
  struct possession {
    resource_id what;
    resource_kind kind;
    clock::time_point since;
    call_stack at;
  };
  struct present_wait {
    resource_id what;
    wait_terms terms;
    clock::time_point since;
    call_stack at;
    bool reported = false;
    /// What it is to throw: it was withdrawn, and has not gone on yet.
    std::exception_ptr refusal = nullptr;
  };
  struct vain_attempts {
    std::uint64_t count = 0;
    party_id because_of = nullptr;
    clock::time_point last{};
    bool reported = false;
  };
  struct party {
    /// Of a task that has one.
    std::string name;
    /// Of a task: which one it is, for one without a name.
    std::uint64_t birth = 0;
    /// Of a task: its loop's thread. Of a thread: itself.
    party_id thread = nullptr;
    /// Of a thread: as the kernel knows it.
    pid_t number = 0;
    bool loop_sleeps = false;
    std::optional<present_wait> wait;
    std::vector<possession> has;
    /// Queues, and at which end it was the last time.
    std::map<resource_id, queue_role> uses;
    std::map<resource_id, vain_attempts> attempts;
    /// Time limits around what it waits for.
    int limits = 0;
    /// A cancellation is on its way.
    bool cancelled = false;
  };
  struct queue_end {
    std::set<party_id> users;
    /// One of them has ended. Others like it may come.
    bool open = false;
  };
  struct resource {
    resource_kind kind = resource_kind::result;
    /// A lock that one locks and another unlocks: it has no holder that could be known.
    bool passed_on = false;
    /// A lock that was unlocked by who had locked it.
    bool kept = false;
    std::optional<std::source_location> created;
    std::vector<party_id> holders;
    /// Of a queue: who has put into it, and who has got from it.
    queue_end putters;
    queue_end getters;
  };
  struct spinning {
    std::map<party_id, std::uint64_t> attempts;
    bool reported = false;
  };

  // All below need mutex_.
  party& running_party();
  party& known(party_id who);
  void take(party& who, party_id id, resource_id what, resource_kind kind);
  void drop(resource_id what, party_id who);
  void note_orders(party_id id, const party& who, resource_id lock, std::string& report);
  [[nodiscard]] std::vector<party_id> successors(party_id who) const;
  bool reach(party_id from, party_id to, std::vector<party_id>& visited, std::vector<party_id>& path) const;
  /// `who` waits, and the circle that it is in; empty if it is in none.
  [[nodiscard]] std::vector<party_id> circle_of(party_id who) const;
  /// It may be none, unless it lasts: a lock in it may have been passed on, as it was never seen to be unlocked by who
  /// had locked it.
  [[nodiscard]] bool is_doubtful(const std::vector<party_id>& circle) const;
  /// The wait in it that began last, of those that can be given an exception; or null.
  [[nodiscard]] present_wait* latest_in(const std::vector<party_id>& circle);
  /// Gives a deadlock to who came last; or, if that is not to be or cannot be, returns the report for the handler.
  [[nodiscard]] std::string resolve(const std::vector<party_id>& circle);
  [[nodiscard]] bool fail_in_a_circle(party_id who, std::vector<party_id>& circle);

  [[nodiscard]] bool watches() const noexcept { return options_.look_every > clock::duration::zero(); }
  /// Looks now and then, until `stop`, for what shows only by lasting.
  void watch(const std::stop_token& stop) noexcept;
  void begin_to_watch();
  [[nodiscard]] std::vector<pid_t> sleeping_loops() const;
  void note_standstill();
  /// Circles that were doubtful when they closed, and have lasted.
  void note_lasting_circles();
  /// Those who have used queues, and wait for one another.
  void note_stuck_users();
  [[nodiscard]] std::set<party_id> stuck_users() const;
  /// Those among `stuck` that `who` needs; empty if somebody else may do.
  [[nodiscard]] std::vector<party_id> needed(party_id who, const std::set<party_id>& stuck) const;
  /// Who waits for an item, or for the end of a call, may be all that a program does for a while. It is another thing
  /// if somebody has an item and cannot get rid of it, or wants a lock.
  [[nodiscard]] bool is_more_than_idle(party_id who) const;
  /// At which end of a queue somebody must be who ends the wait; null: it is not for a queue.
  [[nodiscard]] const queue_end* needed_end(party_id who) const;
  /// It has lasted for `look_every`.
  [[nodiscard]] bool lasts(const std::optional<present_wait>& wait) const;

  [[nodiscard]] std::string name_of(party_id who) const;
  [[nodiscard]] std::string name_of_resource(resource_id what) const;
  [[nodiscard]] std::string describe_deadlock(const std::vector<party_id>& circle) const;
  void describe_party(std::string& text, party_id who) const;
  /// What a party wants of the queue that it waits for; empty if it waits for something else.
  [[nodiscard]] static std::string purpose_of(const party& waiting);
  [[nodiscard]] std::string describe_inversion(const std::vector<lock_order*>& circle) const;
  [[nodiscard]] std::string describe_livelock(const std::vector<party_id>& circle) const;
  [[nodiscard]] std::string describe_standstill(const std::vector<party_id>& waiting) const;
  [[nodiscard]] std::string describe_stuck_users(const std::vector<party_id>& stuck) const;

  /// Without mutex_: hands a report over, unless it is empty.
  void tell(const std::string& report) const noexcept;
  /// The same, and does then what is to be done about a deadlock that nobody could be thrown.
  void tell_of_deadlock(const std::string& report) const noexcept;

  const deadlock_options options_;
  mutable std::mutex mutex_;
  std::unordered_map<party_id, party> parties_;
  std::unordered_map<resource_id, resource> resources_;
  std::unordered_map<resource_id, spinning> spinning_;
  lock_orders orders_;
  deadlock_detection::counts found_;
  // What it knows is true now.
  bool observes_ = false;
  std::uint64_t tasks_ = 0;
  std::jthread watch_; // the last one: it uses the others
};

} // namespace fourfold::detail
