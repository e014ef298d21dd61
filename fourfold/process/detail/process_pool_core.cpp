#include <fourfold/base/errors.hpp>
#include <fourfold/process/detail/exception_codec.hpp>
#include <fourfold/process/detail/fault_point.hpp>
#include <fourfold/process/detail/process_pool_core.hpp>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <utility>

namespace fourfold::detail {
namespace {

// How far ahead of a worker its ring is filled: enough that it never idles between short calls, and so little
// that a call is not stuck for long behind others before another worker takes it over.
constexpr double ahead_nanoseconds = 200'000;
constexpr std::size_t largest_depth = 512;

} // namespace

process_pool_core::wake_list::~wake_list() {
  if (first_ == 0 && !others_)
    return;
  for (const worker_slot& slot : core_.slots_) {
    if (!slot.is_open())
      continue;
    const bool wanted = slot.index() < 64 ? (first_ >> slot.index() & 1) != 0 : others_;
    if (wanted)
      slot.wake();
  }
}

void process_pool_core::wake_list::add(const worker_slot& slot) noexcept {
  if (slot.index() < 64) {
    first_ |= std::uint64_t{1} << slot.index();
  } else {
    others_ = true;
  }
}

worker_slot* process_pool_core::least_loaded(process_call& call) noexcept {
  worker_slot* best = nullptr;
  // What a call carries is in use while it lies in a busy worker's socket, also if another worker takes the call
  // over. The one that is busy may be waiting for just that to be let go of, so nothing is put there.
  const std::size_t depth = call.payload().has_attachments() ? 1 : depth_;
  for (worker_slot& slot : slots_) {
    if (!slot.takes_calls())
      continue;
    const bool full = call.kind() == call_kind::coroutine
                          ? slot.coroutines() >= options_.coroutines_per_worker
                          : slot.functions() >= depth;
    if (full)
      continue;
    if (best == nullptr || slot.functions() < best->functions() ||
        (slot.functions() == best->functions() && slot.coroutines() < best->coroutines())) {
      best = &slot;
    }
  }
  return best;
}

void process_pool_core::recount_ahead() noexcept {
  std::size_t ahead = 0;
  for (const worker_slot& slot : slots_)
    ahead += slot.functions() > 1 ? slot.functions() - 1 : 0;
  ahead_.store(ahead);
}

bool process_pool_core::hand_to(worker_slot& slot, process_call& call) {
  const bool assigned = slot.assign(call);
  if (slot.was_refused_descriptors())
    hand_out_soon();
  if (!assigned)
    return false;
  if (call.has_deadline)
    begin_limits(call);
  if (needs_successor(slot) && (slot.calls_left() == 0 || successor_of(slot) == nullptr))
    want_recycling();
  return true;
}

bool process_pool_core::assign(process_call& call, wake_list& to_wake) {
  worker_slot* slot = least_loaded(call);
  if (slot == nullptr || !hand_to(*slot, call))
    return false;
  give_room_back(call);
  to_wake.add(*slot);
  return true;
}

void process_pool_core::enqueue(process_call& call) noexcept {
  call.where = process_call::place::queued;
  queue_.push_back(call);
  queued_.fetch_add(1);
}

void process_pool_core::enqueue_again(process_call& call) noexcept {
  call.where = process_call::place::queued;
  deadlines_.set(call, never);
  queue_.push_front(call);
  queued_.fetch_add(1);
}

void process_pool_core::leave_queue(process_call& call) noexcept {
  queue_.remove(call);
  queued_.fetch_sub(1);
}

void process_pool_core::refuse_queue(intrusive_list<process_call>& refused) noexcept {
  queue_.take_all(refused);
  queued_.store(0);
  refused.for_each([this](process_call& call) {
    end_books(call);
    ++statistics_.refused;
  });
}

void process_pool_core::give_room_back(process_call& call) noexcept {
  if (std::exchange(call.holds_room, false))
    room_->release();
}

void process_pool_core::hand_out(wake_list& to_wake) {
  if (hand_out_at_ != never && hand_out_at_ <= clock::now()) {
    hand_out_at_ = never;
    for (worker_slot& slot : slots_) {
      if (!slot.send_owed())
        hand_out_soon();
    }
  }
  bool functions = true;
  bool coroutines = true;
  while (process_call* call = queue_.first(functions, coroutines)) {
    queue_.remove(*call);
    if (assign(*call, to_wake)) {
      queued_.fetch_sub(1);
      continue;
    }
    queue_.push_front(*call);
    (call->kind() == call_kind::coroutine ? coroutines : functions) = false;
  }
  if (queue_.empty(call_kind::function))
    share_out_ahead(to_wake);
  recount_ahead();
}

void process_pool_core::share_out_ahead(wake_list& to_wake) {
  for (worker_slot& idle : slots_) {
    if (!idle.takes_calls() || idle.functions() != 0)
      continue;
    const auto fullest =
        std::max_element(slots_.begin(), slots_.end(), [](const worker_slot& a, const worker_slot& b) {
          return a.functions() < b.functions();
        });
    if (fullest->functions() < 2)
      return;
    std::size_t wanted = fullest->functions() / 2;
    // The latest first: the earliest are the likeliest to be begun meanwhile.
    for (std::size_t i = fullest->assigned().size(); i-- > 0 && wanted > 0;) {
      if (i >= fullest->assigned().size())
        continue;
      process_call* call = fullest->assigned()[i];
      if (call == nullptr || call->kind() != call_kind::function || !fullest->take_back(*call))
        continue;
      --wanted;
      if (!idle.takes_calls() || !hand_to(idle, *call)) {
        enqueue_again(*call);
        break;
      }
      to_wake.add(idle);
    }
  }
}

void process_pool_core::end_books(process_call& call) noexcept {
  call.where = process_call::place::ended;
  call.large_payload.reset(); // the future may live long
  give_room_back(call);
  if (call.has_deadline) {
    deadlines_.drop(call);
    limited_.fetch_sub(1);
  }
  if (call.watched)
    watched_.fetch_sub(1);
  if (--live_calls_ == 0 && closed_)
    drained_.set();
}

void process_pool_core::submit(process_call& call) {
  try {
    require_few_attachments(call.payload());
    if (call.payload().size() > ring_bytes / 4) {
      call.large_payload = make_sealed_message(call.payload().bytes());
      attachment_list kept = call.payload().take_attachments();
      call.payload() = {};
      for (auto& one : kept)
        call.payload().attach(std::move(one));
    }
    const std::lock_guard guard(lock_);
    wake_list to_wake(*this);
    if (!broken_.empty())
      throw pool_closed(broken_ + ": the function was not and will not be run");
    if (closed_)
      throw pool_closed();
    const process_call_options& o = call.options;
    if (o.time_limit != no_time_limit || o.soft_time_limit != no_time_limit ||
        o.kill_after != no_time_limit) {
      deadlines_.enrol(call);
      limited_.fetch_add(1);
    }
    call.id = statistics_.submitted + 1;
    if (queue_.empty(call.kind()) && assign(call, to_wake)) {
      recount_ahead();
    } else {
      enqueue(call);
    }
    ++statistics_.submitted;
    ++live_calls_;
    // The other users of what it carries (the end of a queue, say) may wait for it to be let go of.
    if (call.payload().has_attachments() && !std::exchange(call.watched, true))
      watched_.fetch_add(1);
  } catch (...) {
    give_room_back(call);
    call.abandon();
    throw;
  }
  if (service_wanted())
    ensure_service();
}

bool process_pool_core::cancel(process_call& call) noexcept {
  {
    const std::lock_guard guard(lock_);
    wake_list to_wake(*this);
    switch (call.where) {
    case process_call::place::nowhere:
    case process_call::place::ended: return false;
    case process_call::place::queued: leave_queue(call); break;
    case process_call::place::assigned:
      if (slots_[call.worker].take_back(call))
        break;
      if (!tell(call, to_wake) && call.options.kill_after == no_time_limit)
        return false;
      if (std::exchange(call.cancel_asked, true))
        return true;
      if (call.kill_time == never)
        call.kill_time = deadline_after(call.options.kill_after);
      wake_at(call, call.kill_time);
      return true;
    }
    ++statistics_.cancelled;
    end_books(call);
    hand_out(to_wake); // its place is free
  }
  call.end_with(exception_of<cancelled>());
  // A thread that drives for this very call sleeps until a worker rings.
  if (pump_taken_.load())
    ring_bell(driver_bell_.get());
  return true;
}

void process_pool_core::watch(process_call& call) noexcept {
  {
    const std::lock_guard guard(lock_);
    if (call.watched || call.where == process_call::place::ended)
      return;
    call.watched = true;
    watched_.fetch_add(1);
  }
  ensure_service();
}

std::vector<pid_t> process_pool_core::worker_pids() {
  const std::lock_guard guard(lock_);
  std::vector<pid_t> pids;
  for (const worker_slot& slot : slots_) {
    if (slot.pid() > 0)
      pids.push_back(slot.pid());
  }
  return pids;
}

process_pool_statistics process_pool_core::statistics() {
  const std::lock_guard guard(lock_);
  return statistics_;
}

// The pump.

bool process_pool_core::any_results() const noexcept {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const worker_slot& s) { return s.is_believed() && s.has_result(); });
}

void process_pool_core::want_bell(result_bell bell) noexcept {
  bell_ = bell;
  for (const worker_slot& slot : slots_) {
    if (slot.is_open())
      slot.want_bell(bell);
  }
}

bool process_pool_core::pump_once() {
  bool something = false;
  for (worker_slot& slot : slots_) {
    something |= collect(slot);
  }
  return something;
}

bool process_pool_core::collect(worker_slot& slot) {
  bool something = false;
  if (!slot.is_believed())
    return false;
  try {
    message_header header;
    for (std::size_t i = 0; i < largest_depth && slot.next_result(header); ++i) {
      something = true;
      fault_point(fault_step::pool_read_result);
      handle_result(slot, header);
      fault_point(fault_step::pool_ended_call);
    }
  } catch (const std::exception&) {
    // Its memory holds what no sane worker writes. Its end comes as a notice.
    const std::lock_guard guard(lock_);
    slot.condemn();
  }
  slot.give_room();
  return something;
}

void process_pool_core::handle_begin(worker_slot& slot, std::uint64_t number) {
  const std::lock_guard guard(lock_);
  process_call* call = slot.find(number);
  if (call == nullptr || call->begun || !call->has_deadline)
    throw decode_error("a worker began with a call that it does not have");
  call->begun = true;
  // If it was so late that it has been told to stop, then the limits run on, and its end is their doing.
  if (!call->limit_told)
    begin_limits(*call);
}

void process_pool_core::handle_result(worker_slot& slot, const message_header& header) {
  const auto kind = static_cast<result_kind>(header.kind);
  if (kind == result_kind::begun)
    return handle_begin(slot, header.number);
  if (kind != result_kind::value && kind != result_kind::exception)
    throw decode_error("a worker sent a message of no known kind");
  if (options_.max_memory_per_worker != process_pool_options::no_bound)
    look_at_memory(slot, header);
  process_call* call = nullptr;
  attachment_list sent; // unmapped, if they did not come back, after the call has ended
  {
    const std::lock_guard guard(lock_);
    wake_list to_wake(*this);
    call = slot.ended(header.number);
    if (call == nullptr)
      throw decode_error("a worker sent a result for a call that it does not have");
    sent = call->payload().take_attachments();
    ++statistics_.finished;
    process_worker_statistics& place = places_[slot.place()];
    ++place.calls;
    if (call->kind() == call_kind::function) {
      place.busy += std::chrono::nanoseconds(
          std::min<std::uint64_t>(header.duration, std::numeric_limits<std::int64_t>::max() / 1'000'000));
      const auto duration = static_cast<double>(header.duration);
      mean_duration_ += (duration - mean_duration_) / (duration > mean_duration_ ? 2 : 8);
      depth_ = std::clamp(static_cast<std::size_t>(ahead_nanoseconds / (mean_duration_ + 1)), std::size_t{1},
                          largest_depth);
    }
    end_books(*call);
    fault_point(fault_step::pool_took_call_off_books);
    hand_out(to_wake);
  }
  slot.recognise(sent);
  std::span<const std::byte> bytes;
  try {
    bytes = slot.payload();
  } catch (const std::exception&) {
    // No memory for a large result, or a large result that is none.
    return call->end_with(std::current_exception());
  }
  decoder in(bytes, slot.attachments());
  if (kind == result_kind::value)
    return call->end_with_value(in);
  std::exception_ptr exception;
  try {
    exception = decode_exception(in);
    if (call->limit_told && !call->cancel_asked && is_cancelled(exception))
      exception = std::make_exception_ptr(timed_out("the call's soft time limit passed, and it stopped"));
  } catch (...) { // bytes that are none, or what the user's own decoder threw
    exception = std::current_exception();
  }
  call->end_with(std::move(exception));
}

void process_pool_core::leave_pump() {
  for (;;) {
    // Before the looks below, so that what it is set for from now on is seen by them or afterwards.
    if (look_again_.exchange(false)) {
      while (pump_once()) {
      }
    }
    const bool wanted = service_wanted();
    want_bell(wanted ? result_bell::service : result_bell::none);
    service_armed_.store(wanted);
    const bool late_result = wanted && any_results();
    pump_taken_.store(false);
    // Whoever found the pump taken since has left its reason where it is seen here.
    const bool missed = late_result || look_again_.load() || (service_wanted() && !service_armed_.load());
    if (!missed || pump_requested_.load() || !try_pump())
      return;
    while (pump_once()) {
    }
  }
}

bool process_pool_core::service_wanted() const noexcept {
  return queued_.load() != 0 || watched_.load() != 0 || ahead_.load() != 0 || limited_.load() != 0 ||
         draining_.load();
}

void process_pool_core::ensure_service() noexcept {
  // A holder of the pump looks at service_wanted() after it has given the pump back.
  if (service_armed_.load() || !try_pump())
    return;
  leave_pump();
}

void process_pool_core::sleep_as_driver(clock::time_point deadline) noexcept {
  if (options_.sandbox)
    deadline = std::min(deadline, clock::now() + look_at_sandboxed);
  if (deadline != never) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now()).count();
    pollfd bell{.fd = driver_bell_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&bell, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000))) <= 0)
      return;
  }
  // In a pool with a sandbox this does not wait: what has rung may have been taken meanwhile.
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = ::read(driver_bell_.get(), &count, sizeof count);
}

void process_pool_core::drive(const future_state_base& awaited, const wait_limit& limit) {
  if (!try_pump())
    return;
  const struct pump_scope {
    process_pool_core& core;
    ~pump_scope() { core.leave_pump(); }
  } pump{*this};
  {
    const blocking_scope blocking;
    const cancellation_callback on_cancellation(limit.token,
                                                [this]() noexcept { ring_bell(driver_bell_.get()); });
    while (!awaited.ready() && !pump_requested_.load() && !limit.token.cancellation_requested() &&
           (limit.deadline == never || clock::now() < limit.deadline)) {
      if (pump_once())
        continue;
      if (spin_.look([this] { return any_results(); }))
        continue;
      want_bell(result_bell::driver);
      fault_point(fault_step::pool_announced_sleep);
      if (any_results() || pump_requested_.load() || awaited.ready())
        continue;
      sleep_as_driver(limit.deadline);
    }
  }
}

void drive_pool(process_pool_core& pool, const future_state_base& awaited, const wait_limit& limit) {
  pool.drive(awaited, limit);
}
void watch_call(process_call& call) noexcept { call.pool().watch(call); }
bool cancel_process_call(process_call& call) noexcept { return call.pool().cancel(call); }

} // namespace fourfold::detail
