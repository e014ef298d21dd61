#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/wait_observer.hpp>
#include <fourfold/watch/deadlock_detection.hpp>
#include <fourfold/watch/detail/call_stack.hpp>
#include <fourfold/watch/detail/lock_orders.hpp>

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace fourfold::detail {

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
  std::exception_ptr waits(party_id who, resource_id what, wait_terms terms) noexcept override;
  void goes_on(party_id who) noexcept override;
  void loop_sleeps(bool begins) noexcept override;
  void created(resource_id lock, std::source_location where) noexcept override;
  void acquired(resource_id lock, lock_request how) noexcept override;
  void releases(resource_id lock) noexcept override;
  void failed_to_acquire(resource_id lock) noexcept override;
  void works_at(resource_id result, party_id who) noexcept override;
  void has_done(resource_id result, party_id who) noexcept override;
  void cancels(resource_id result) noexcept override;
  void limit_changes(party_id who, int by) noexcept override;
  void tried_in_vain(resource_id what, std::string_view name, std::uint64_t limit) noexcept override;
  void progressed(resource_id what) noexcept override;
  void gone(const void* address) noexcept override;

 private:
  struct possession {
    resource_id what;
    bool is_lock;
    clock::time_point since;
    call_stack at;
  };
  struct present_wait {
    resource_id what;
    bool limited;
    clock::time_point since;
    call_stack at;
    bool reported = false;
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
    std::map<resource_id, vain_attempts> attempts;
    /// Time limits around what it waits for.
    int limits = 0;
    /// A cancellation is on its way.
    bool cancelled = false;
  };
  struct resource {
    bool is_lock = false;
    /// A lock that one locks and another unlocks: it has no holder that could be known.
    bool passed_on = false;
    std::optional<std::source_location> created;
    std::vector<party_id> holders;
  };
  struct spinning {
    std::map<party_id, std::uint64_t> attempts;
    bool reported = false;
  };

  // All below need mutex_.
  party& running_party();
  party& known(party_id who);
  void take(party& who, party_id id, resource_id what, bool is_lock);
  void drop(resource_id what, party_id who);
  void note_orders(party_id id, const party& who, resource_id lock, std::string& report);
  [[nodiscard]] std::vector<party_id> successors(party_id who) const;
  bool reach(party_id from, party_id to, std::vector<party_id>& visited, std::vector<party_id>& path) const;
  [[nodiscard]] bool fail_in_a_circle(party_id who, std::vector<party_id>& circle);

  /// Looks for a standstill, now and then, until `stop`.
  void watch(const std::stop_token& stop) noexcept;
  void begin_to_watch();
  [[nodiscard]] std::vector<pid_t> sleeping_loops() const;
  void note_standstill();

  [[nodiscard]] std::string name_of(party_id who) const;
  [[nodiscard]] std::string name_of_resource(resource_id what) const;
  [[nodiscard]] std::string describe_deadlock(const std::vector<party_id>& circle) const;
  void describe_party(std::string& text, party_id who) const;
  [[nodiscard]] std::string describe_inversion(const std::vector<lock_order*>& circle) const;
  [[nodiscard]] std::string describe_livelock(const std::vector<party_id>& circle) const;
  [[nodiscard]] std::string describe_standstill(const std::vector<party_id>& waiting) const;

  /// Without mutex_: hands a report over, unless it is empty.
  void tell(const std::string& report) const noexcept;

  const deadlock_options options_;
  mutable std::mutex mutex_;
  std::unordered_map<party_id, party> parties_;
  std::unordered_map<resource_id, resource> resources_;
  std::unordered_map<resource_id, spinning> spinning_;
  lock_orders orders_;
  deadlock_detection::counts found_;
  std::uint64_t tasks_ = 0;
  std::jthread watch_; // the last one: it uses the others
};

} // namespace fourfold::detail
