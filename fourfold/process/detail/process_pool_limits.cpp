// The part of process_pool_core that tells calls to stop, kills the workers of those that do not, and recycles workers.

#include <fourfold/process/detail/process_pool_core.hpp>
#include <fourfold/process/detail/resident_memory.hpp>

#include <algorithm>
#include <mutex>
#include <utility>

namespace fourfold::detail {
namespace {

// When a ring had no room for a message, and somebody must try again.
constexpr auto next_try = std::chrono::milliseconds(10);
// How soon descriptors are sent again that were refused because too many are in flight.
constexpr auto refused_again_after = std::chrono::milliseconds(5);
// How long to wait before another try, when the system gave no process or no descriptor.
constexpr auto retry_interval = std::chrono::milliseconds(100);
// How long before a worker's last call its successor is started: longer than a start takes.
constexpr double start_nanoseconds = 5'000'000;
constexpr auto memory_interval = std::chrono::milliseconds(10);
// A shorter call has hardly grown the process.
constexpr auto short_call = std::chrono::microseconds(100);

clock::time_point after(clock::time_point since, clock::duration limit) noexcept {
  return limit >= never - since ? never : since + std::max(limit, clock::duration::zero());
}

} // namespace

bool process_pool_core::tell(process_call& call, wake_list& to_wake) noexcept {
  worker_slot& slot = slots_[call.worker];
  if (call.kind() == call_kind::function)
    return slot.tell(call);
  if (!slot.send(call_kind::cancel, call.number))
    return false;
  to_wake.add(slot);
  return true;
}

void process_pool_core::wake_at(process_call& call, clock::time_point time) noexcept {
  if (!call.has_deadline || time >= call.deadline->first)
    return;
  deadlines_.set(call, time);
  if (time < armed_for_)
    ring_bell(service_bell_.get());
}

void process_pool_core::hand_out_soon() noexcept {
  hand_out_at_ = clock::now() + refused_again_after;
  if (hand_out_at_ < armed_for_)
    ring_bell(service_bell_.get());
}

void process_pool_core::begin_limits(process_call& call) noexcept {
  call.since = clock::now();
  call.limit_told = false;
  if (!call.cancel_asked)
    call.kill_time = never;
  deadlines_.set(call, never);
  wake_at(call, after(call.since, std::min(call.options.soft_time_limit, call.options.time_limit)));
  wake_at(call, call.kill_time);
}

int process_pool_core::time_to_sleep() {
  const std::lock_guard guard(lock_);
  armed_for_ = deadlines_.earliest();
  if (slot_missing_)
    armed_for_ = std::min(armed_for_, clock::now() + retry_interval);
  armed_for_ = std::min(armed_for_, hand_out_at_);
  if (options_.sandbox)
    armed_for_ = std::min(armed_for_, clock::now() + look_at_sandboxed);
  if (armed_for_ == never)
    return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(armed_for_ - clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
}

void process_pool_core::enforce_limits() {
  const std::lock_guard guard(lock_);
  wake_list to_wake(*this);
  const auto now = clock::now();
  while (process_call* call = deadlines_.due(now))
    enforce(*call, now, to_wake);
}

// Gives the call another moment, later than `now`.
void process_pool_core::enforce(process_call& call, clock::time_point now, wake_list& to_wake) noexcept {
  deadlines_.set(call, never);
  if (call.where != process_call::place::assigned || call.killed_for != process_call::verdict::none)
    return;
  worker_slot& slot = slots_[call.worker];
  // Its time has not begun if it waits for others, or for its worker's start. What has nothing to wait for and is not
  // begun sits on a worker that is stuck.
  if (!call.begun && (!slot.has_served() || slot.has_functions_before(call))) {
    begin_limits(call);
    return deadlines_.set(call, std::max(call.deadline->first, now + next_try));
  }
  const auto hard = after(call.since, call.options.time_limit);
  if (now >= hard || now >= call.kill_time) {
    call.killed_for =
        now < hard && call.cancel_asked ? process_call::verdict::cancelled : process_call::verdict::timed_out;
    return slot.kill();
  }
  auto soft = after(call.since, call.options.soft_time_limit);
  if (call.limit_told) {
    soft = never;
  } else if (now >= soft) {
    // A function on a deaf worker cannot be told, and is left to the harder limits.
    call.limit_told = tell(call, to_wake) || call.kind() == call_kind::function;
    soft = call.limit_told ? never : now + next_try;
    if (!call.cancel_asked)
      call.kill_time = std::min(call.kill_time, after(now, call.options.kill_after));
  }
  wake_at(call, std::min({soft, hard, call.kill_time}));
}

// Recycling.

void process_pool_core::look_at_memory(worker_slot& slot, const message_header& header) {
  const auto now = clock::now();
  const bool is_short =
      header.duration < static_cast<std::uint64_t>(std::chrono::nanoseconds(short_call).count());
  if (slot.outgrown || (is_short && now - slot.memory_looked_at < memory_interval))
    return;
  slot.memory_looked_at = now;
  if (resident_memory(slot.pid()) <= options_.max_memory_per_worker)
    return;
  {
    const std::lock_guard guard(lock_);
    slot.outgrown = true;
  }
  want_recycling();
}

bool process_pool_core::is_used_up(const worker_slot& slot) const noexcept {
  return slot.calls_left() == 0 || slot.outgrown;
}

bool process_pool_core::needs_successor(const worker_slot& slot) const noexcept {
  if (slot.outgrown || options_.max_calls_per_worker == process_pool_options::no_bound)
    return slot.outgrown;
  const double calls_in_a_start = start_nanoseconds / (mean_duration_ + 1);
  const double early = std::min(calls_in_a_start, static_cast<double>(options_.max_calls_per_worker) / 2);
  return static_cast<double>(slot.calls_left()) <= early;
}

worker_slot* process_pool_core::successor_of(const worker_slot& slot) noexcept {
  for (worker_slot& other : slots_) {
    if (other.has_duty() == worker_slot::duty::standby && other.place() == slot.place() && &other != &slot)
      return &other;
  }
  return nullptr;
}

worker_slot& process_pool_core::spare_slot() {
  for (worker_slot& slot : slots_) {
    if (!slot.is_open() && slot.has_duty() == worker_slot::duty::none)
      return slot;
  }
  return slots_.emplace_back(static_cast<std::uint32_t>(slots_.size()), driver_bell_.get(),
                             service_bell_.get(), bell_mode_);
}

void process_pool_core::want_recycling() noexcept {
  if (!recycling_due_.exchange(true))
    ring_bell(service_bell_.get());
}

void process_pool_core::recycle() {
  // By number: slots may be added meanwhile.
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    worker_slot& slot = slots_[i];
    if (worker_slot* const fresh = open_successor(slot))
      start_worker(*fresh);
    if (take_over(slot) || (slot.has_duty() == worker_slot::duty::retiring && !slot.told_to_finish))
      retire(slot);
  }
}

worker_slot* process_pool_core::open_successor(const worker_slot& slot) {
  const std::lock_guard guard(lock_);
  if (slot.has_duty() != worker_slot::duty::serving || !slot.is_open() || !broken_.empty() ||
      !needs_successor(slot) || successor_of(slot) != nullptr)
    return nullptr;
  worker_slot* fresh = nullptr;
  try {
    fresh = &spare_slot();
    fresh->set_place(slot.place());
    fresh->open(bell_, options_.max_calls_per_worker);
    fresh->set_duty(worker_slot::duty::standby);
    return fresh;
  } catch (const std::exception&) {
    // No descriptors, no memory: the old one goes on for now, and it is tried again soon.
    if (fresh != nullptr)
      fresh->close();
    recycling_left_over_ = slot_missing_ = true;
    return nullptr;
  }
}

bool process_pool_core::take_over(worker_slot& slot) {
  const std::lock_guard guard(lock_);
  if (slot.has_duty() != worker_slot::duty::serving || !slot.is_open() || !is_used_up(slot))
    return false;
  worker_slot* const successor = successor_of(slot);
  // One that has outgrown its limit is of use until the successor is there; one that must take no more calls is not.
  if (successor == nullptr || (slot.calls_left() != 0 && successor->pid() <= 0))
    return false;
  successor->set_duty(worker_slot::duty::serving);
  slot.set_duty(worker_slot::duty::retiring);
  ++statistics_.workers_recycled;
  ++places_[slot.place()].recycled;
  return true;
}

void process_pool_core::retire(worker_slot& slot) {
  const std::lock_guard guard(lock_);
  wake_list to_wake(*this);
  for (std::size_t i = slot.assigned().size(); i-- > 0;) {
    // Taking one back may shorten the list at its front.
    process_call* call = i < slot.assigned().size() ? slot.assigned()[i] : nullptr;
    if (call != nullptr && slot.outgrown && slot.take_back(*call))
      enqueue_again(*call);
  }
  slot.told_to_finish = slot.send(call_kind::finish, 0);
  // No room: the worker rings when there is.
  recycling_left_over_ |= !slot.told_to_finish;
  to_wake.add(slot);
  hand_out(to_wake);
}

std::vector<process_worker_statistics> process_pool_core::worker_statistics() {
  std::vector<process_worker_statistics> workers;
  {
    const std::lock_guard guard(lock_);
    workers = places_;
    for (const worker_slot& slot : slots_) {
      if (slot.has_duty() == worker_slot::duty::serving)
        workers[slot.place()].pid = slot.pid();
    }
  }
  for (process_worker_statistics& worker : workers)
    worker.memory = worker.pid > 0 ? resident_memory(worker.pid) : 0;
  return workers;
}

void process_pool_core::let_submitters_through() {
  // Whoever waits for room, now and from now on: submit() refuses them.
  if (room_ && !submitters_let_through_.exchange(true))
    room_->release(semaphore::unlimited / 4);
}

} // namespace fourfold::detail
