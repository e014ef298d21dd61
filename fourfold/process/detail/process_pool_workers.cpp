// The half of process_pool_core that starts, buries and replaces workers, and its service thread.

#include <fourfold/base/cpu_count.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/process/detail/fault_point.hpp>
#include <fourfold/process/detail/process_pool_core.hpp>
#include <fourfold/process/detail/process_setup.hpp>
#include <fourfold/process/detail/sandbox.hpp>
#include <fourfold/process/detail/system_call.hpp>

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

namespace fourfold::detail {
namespace {

// So many workers in a row that die before they serve, and the next one would, too.
constexpr unsigned most_failed_starts = 5;
// A call whose workers die so often before they begin it, by what they left in shared memory, is the likely
// cause.
constexpr std::uint8_t most_redeliveries = 3;
// How long workers may take over their end when they have nothing left to do (flushing output), before they
// are killed.
constexpr auto finishing_time = std::chrono::seconds(2);

bool may_repeat(const process_call& call) noexcept {
  return call.repeated < call.options.retries && !call.cancel_asked;
}

std::exception_ptr what_killed(const process_call& call) noexcept {
  if (call.killed_for == process_call::verdict::cancelled)
    return exception_of<cancelled>("the call was cancelled, went on, and was ended by killing its worker");
  return exception_of<timed_out>("the call's time limit passed, and its worker was killed");
}

/// Blocks every signal on this thread for a scope: a thread started inside is none that the program's
/// handlers run on.
class signals_blocked {
 public:
  signals_blocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous_);
  }
  ~signals_blocked() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;

 private:
  sigset_t previous_{};
};

} // namespace

process_pool_core::process_pool_core(process_pool_options options)
    : options_(std::move(options)),
      // A sandboxed worker may act with intent, and fill a bell.
      bell_mode_(options_.sandbox ? bell_mode::returns : bell_mode::waits),
      driver_bell_(make_bell(bell_mode_)),
      service_bell_(make_bell(bell_mode::returns)),
      spin_(std::chrono::microseconds(cpu_count() > 1 ? options_.spin_microseconds : 0)) {
  if (options_.coroutines_per_worker == 0)
    throw std::invalid_argument("process_pool: coroutines_per_worker must not be 0");
  if (options_.queue_bound == 0 || options_.max_calls_per_worker == 0)
    throw std::invalid_argument("process_pool: queue_bound and max_calls_per_worker must not be 0");
  if (options_.calls.room.deadline != never || options_.calls.room.token.can_be_cancelled())
    throw std::invalid_argument("process_pool: how long to wait for room is said with each call");
  if (options_.queue_bound < static_cast<std::size_t>(semaphore::unlimited / 2))
    room_.emplace(static_cast<std::ptrdiff_t>(options_.queue_bound));
  if (options_.sandbox)
    require_support(*options_.sandbox);
  if (options_.sandbox || !options_.initialiser.call().bytes.empty())
    setup_ = encode_setup({.call = options_.initialiser.call(), .sandbox = options_.sandbox});
  const unsigned workers = options_.workers != 0 ? options_.workers : cpu_count();
  for (unsigned i = 0; i < workers; ++i)
    places_.push_back({.name = name_of(i)});
  template_.emplace();
  for (unsigned i = 0; i < workers; ++i)
    slots_.emplace_back(i, driver_bell_.get(), service_bell_.get(), bell_mode_);
  for (worker_slot& slot : slots_) {
    slot.set_place(slot.index());
    slot.set_duty(worker_slot::duty::serving);
    slot.open(result_bell::none, options_.max_calls_per_worker);
  }
  {
    const signals_blocked blocked;
    service_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "fourfold-pool");
      serve();
    });
  }
  // The service reads the template's answers meanwhile; with hundreds of workers the sockets would fill up.
  try {
    const std::uint32_t first_generation = slots_.front().generation();
    for (unsigned i = 0; i < workers; ++i) {
      // If the template has died meanwhile, the service has turned to a new one, and started them all.
      const std::lock_guard guard(template_mutex_);
      if (slots_[i].is_open() && slots_[i].generation() == first_generation)
        start_worker(slots_[i]);
    }
  } catch (...) {
    stopping_.store(true);
    ring_bell(service_bell_.get());
    service_.join();
    throw;
  }
}

process_pool_core::~process_pool_core() = default;

void process_pool_core::start_worker(worker_slot& slot) {
  const start_request request{.fresh = options_.start == start_method::fresh_execution,
                              .worker = slot.index(),
                              .generation = slot.generation(),
                              .coroutines = static_cast<std::uint32_t>(options_.coroutines_per_worker),
                              .spin_microseconds = options_.spin_microseconds,
                              .name = short_name(options_.name, "-" + std::to_string(slot.place()))};
  // If the template has died, the service thread notices, starts a new one and asks again.
  if (!template_ || !template_->start_worker(request, slot.worker_end(), setup_.get()))
    return;
  fault_point(fault_step::pool_asked_for_worker);
  const std::lock_guard guard(lock_);
  // It may have come, died and been replaced already.
  if (slot.generation() == request.generation && slot.is_open())
    slot.handed_over();
}

std::string process_pool_core::name_of(std::uint32_t place) const {
  return short_name(options_.name, "-" + std::to_string(place)).data();
}

void process_pool_core::handle(template_process::notice_or_end& news) {
  if (news.ended)
    return restart_template();
  const worker_notice& notice = *news.notice;
  if (notice.worker >= slots_.size())
    return;
  worker_slot& slot = slots_[notice.worker];
  if (slot.generation() != notice.generation || !slot.is_open())
    return;
  switch (notice.what) {
  case worker_notice::event::started: {
    const std::lock_guard guard(lock_);
    slot.started(notice.pid, std::move(news.pidfd));
    if (slot.has_duty() == worker_slot::duty::standby)
      recycling_due_.store(true); // what it succeeds may go now
    break;
  }
  case worker_notice::event::failed:
    count_failed_start();
    if (failed_starts_ >= most_failed_starts)
      give_up(std::string("no worker process could be started (") + std::strerror(notice.exit_code) + ")");
    bury(slot, 0, 0);
    break;
  case worker_notice::event::exited: bury(slot, notice.signal, notice.exit_code); break;
  }
}

void process_pool_core::bury(worker_slot& slot, int signal, int exit_code) {
  fault_point(fault_step::pool_found_worker_dead);
  while (collect(slot)) { // results that it wrote before it died
  }
  const pid_t pid = slot.pid(); // -1: it was never born
  // Its memory alone is not believed: the exit status comes from the template.
  const bool cannot_serve = signal == 0 && exit_code == cannot_serve_status && !slot.has_served();
  const std::string why_not = cannot_serve ? slot.why_not_serving() : std::string();
  // Where an initialiser runs first, a death before serving tells nothing about the calls that wait.
  const bool tells_of_calls = pid > 0 && (!setup_ || slot.has_served());
  const std::string reason = options_.sandbox ? why_sandbox_ended(signal, slot.denied_call()) : std::string();
  if (slot.has_served()) {
    failed_starts_ = template_restarts_ = 0;
  } else if (pid > 0) {
    count_failed_start();
  }
  const auto duty = slot.has_duty();
  const bool ours = slot.was_killed_sane(); // for a limit, so no call of it is suspect
  std::vector<std::pair<process_call*, std::exception_ptr>> lost;
  {
    const std::lock_guard guard(lock_);
    lost.reserve(slot.assigned().size());
    for (std::size_t i = slot.assigned().size(); i-- > 0;) {
      process_call* call = slot.assigned()[i];
      if (call == nullptr)
        continue;
      const bool begun = slot.had_begun(*call);
      if (call->killed_for != process_call::verdict::none) {
        lost.emplace_back(call, what_killed(*call));
        ++(call->killed_for == process_call::verdict::timed_out ? statistics_.timed_out
                                                                : statistics_.cancelled);
        end_books(*call);
      } else if (begun && may_repeat(*call) && broken_.empty()) {
        ++call->repeated;
        ++statistics_.retried;
        enqueue_again(*call);
      } else if (begun || (tells_of_calls && !ours && ++call->redeliveries > most_redeliveries)) {
        lost.emplace_back(call, exception_of<worker_died>(pid, signal, exit_code, call->id, reason));
        ++statistics_.failed_by_death;
        end_books(*call);
      } else {
        enqueue_again(*call);
      }
    }
    if (duty == worker_slot::duty::retiring) {
      slot.set_duty(worker_slot::duty::none);
    } else if (worker_slot* successor = successor_of(slot)) {
      successor->set_duty(worker_slot::duty::serving);
      ++statistics_.workers_replaced;
      ++places_[slot.place()].deaths;
      slot.set_duty(worker_slot::duty::none);
    }
    slot.close();
  }
  fault_point(fault_step::pool_buried_worker);
  for (auto& [call, exception] : lost)
    call->end_with(std::move(exception));
  if (!why_not.empty())
    return give_up("no worker can serve: " + why_not);
  if (failed_starts_ >= most_failed_starts)
    return give_up("worker processes die before they can serve");
  if (slot.has_duty() == worker_slot::duty::none) {
    // Somebody else has its place already. What it had is queued.
    const std::lock_guard guard(lock_);
    wake_list to_wake(*this);
    return hand_out(to_wake);
  }
  slot_missing_ = true;
  // A fork that failed is not tried again at once.
  if (pid > 0)
    revive(slot);
}

void process_pool_core::count_failed_start() {
  const std::lock_guard guard(lock_);
  // In a row, while the other workers get nothing done either.
  if (std::exchange(finished_at_failed_start_, statistics_.finished) != statistics_.finished)
    failed_starts_ = 0;
  ++failed_starts_;
}

void process_pool_core::revive(worker_slot& slot) {
  {
    const std::lock_guard guard(lock_);
    if (!broken_.empty())
      return;
    try {
      slot.open(bell_, options_.max_calls_per_worker);
      ++statistics_.workers_replaced;
      ++places_[slot.place()].deaths;
    } catch (const std::exception&) {
      slot.close();
    }
  }
  if (!slot.is_open())
    return count_failed_start();
  start_worker(slot);
  const std::lock_guard guard(lock_);
  wake_list to_wake(*this);
  hand_out(to_wake);
}

void process_pool_core::revive_all() {
  slot_missing_ = false;
  for (worker_slot& slot : slots_) {
    if (slot.has_duty() == worker_slot::duty::none)
      continue;
    if (!slot.is_open())
      revive(slot);
    slot_missing_ |= !slot.is_open();
  }
  if (failed_starts_ >= most_failed_starts)
    give_up("no worker process could be started");
}

void process_pool_core::restart_template() {
  // All its workers died with it, by SIGKILL; nobody is left to tell of each.
  const std::lock_guard guard(template_mutex_);
  template_.reset();
  try {
    if (++template_restarts_ > most_failed_starts)
      throw error("it died again and again before a worker could serve");
    template_.emplace();
  } catch (const std::exception& e) {
    give_up(std::string("the worker template died and could not be started again: ") + e.what());
  }
  for (worker_slot& slot : slots_) {
    if (slot.is_open())
      bury(slot, SIGKILL, 0);
  }
}

void process_pool_core::give_up(const std::string& why) {
  intrusive_list<process_call> refused;
  {
    const std::lock_guard guard(lock_);
    if (broken_.empty())
      broken_ = "the process pool gave up: " + why;
    refuse_queue(refused);
    // What a worker has begun goes on.
    for (worker_slot& slot : slots_) {
      for (std::size_t i = slot.assigned().size(); i-- > 0;) {
        process_call* call = i < slot.assigned().size() ? slot.assigned()[i] : nullptr;
        if (call == nullptr || slot.had_begun(*call))
          continue;
        static_cast<void>(slot.ended(call->number));
        end_books(*call);
        ++statistics_.refused;
        refused.push_front(*call);
      }
    }
    recount_ahead();
  }
  let_submitters_through();
  while (!refused.empty()) {
    refused.pop_front().end_with(
        exception_of<pool_closed>(broken_ + ": the function was not and will not be run"));
  }
}

// The service thread.

void process_pool_core::serve() {
  while (!stopping_.load()) {
    // poll() passes over a descriptor of -1: no template, if none could be started.
    const int control = template_ ? template_->control() : -1;
    std::array<pollfd, 2> watched{{{.fd = service_bell_.get(), .events = POLLIN, .revents = 0},
                                   {.fd = control, .events = POLLIN, .revents = 0}}};
    if (::poll(watched.data(), watched.size(), time_to_sleep()) < 0)
      continue;
    std::uint64_t count = 0;
    if (watched[0].revents != 0)
      static_cast<void>(!::read(service_bell_.get(), &count, sizeof count));
    {
      // A worker rings also when it has made room for calls; a driver that has the pump sleeps on.
      const std::lock_guard guard(lock_);
      if (queued_.load() != 0 || hand_out_at_ != never) {
        wake_list to_wake(*this);
        hand_out(to_wake);
      }
    }
    if (limited_.load() != 0)
      enforce_limits();
    const bool news =
        watched[1].revents != 0 || slot_missing_ || recycling_left_over_ || recycling_due_.load();
    if (news) {
      take_pump();
    } else if (!try_pump()) {
      // Its holder reads the results, or is about to give it back and looks at this afterwards.
      look_again_.store(true);
      if (!try_pump())
        continue;
    }
    service_armed_.store(false);
    if (news)
      read_notices();
    if (slot_missing_)
      revive_all();
    const bool left_over = std::exchange(recycling_left_over_, false);
    if (recycling_due_.exchange(false) || left_over)
      recycle();
    while (pump_once()) {
    }
    leave_pump();
  }
}

void process_pool_core::take_pump() noexcept {
  pump_requested_.store(true);
  // A driver wakes, or is between two steps of its loop; either way it leaves within microseconds.
  while (!try_pump()) {
    ring_bell(driver_bell_.get());
    std::this_thread::yield();
  }
  pump_requested_.store(false);
}

void process_pool_core::read_notices() {
  while (template_) {
    try {
      auto news = template_->next_notice();
      if (!news.notice && !news.ended)
        return;
      handle(news);
    } catch (const std::exception& e) {
      return give_up(e.what());
    }
  }
}

void process_pool_core::shutdown(ending how, const wait_limit& limit) {
  if (std::this_thread::get_id() == service_.get_id()) {
    throw error(
        "process_pool: shut down from a callback of one of its own futures, on the thread that has to end");
  }
  if (how == ending::kill) {
    // Also ends a shutdown() that waits on another thread.
    const std::lock_guard guard(lock_);
    closed_ = true;
    drained_.set();
  }
  shutdown_.lock(limit);
  const std::scoped_lock one_at_a_time(std::adopt_lock, shutdown_);
  if (ended_)
    return;
  intrusive_list<process_call> refused;
  {
    const std::lock_guard guard(lock_);
    closed_ = true;
    if (how == ending::kill)
      refuse_queue(refused);
    if (live_calls_ == 0)
      drained_.set();
  }
  let_submitters_through();
  while (!refused.empty())
    refused.pop_front().end_with(exception_of<pool_closed>());
  if (how == ending::finish) {
    draining_.store(true);
    ensure_service();
    drained_.wait(limit);
  }
  stopping_.store(true);
  ring_bell(service_bell_.get());
  service_.join();
  end_workers();
  ended_ = true;
}

void process_pool_core::end_workers() {
  // Nobody submits any more, and there is no service; a driver may still hold the pump.
  take_pump();
  std::size_t alive = 0;
  for (worker_slot& slot : slots_) {
    if (!slot.is_open())
      continue;
    const std::lock_guard guard(lock_);
    if (live_calls_ != 0 || !slot.send(call_kind::finish, 0))
      continue;
    slot.wake();
    fault_point(fault_step::pool_sent_finish);
    ++alive;
  }
  // Nothing waits for them but their own flushing; then the template kills and reaps what is left.
  const auto deadline = clock::now() + finishing_time;
  while (alive > 0 && template_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now()).count();
    pollfd control{.fd = template_->control(), .events = POLLIN, .revents = 0};
    if (left <= 0)
      break;
    const int ready = ::poll(&control, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR)
      continue;
    if (ready <= 0)
      break;
    const auto next = template_->next_notice();
    if (next.ended)
      break;
    if (next.notice && next.notice->what == worker_notice::event::exited)
      --alive;
  }
  template_.reset();
  intrusive_list<process_call> refused;
  for (worker_slot& slot : slots_) {
    if (!slot.is_open())
      continue;
    while (collect(slot)) {
    }
    const pid_t pid = slot.pid();
    std::vector<process_call*> lost;
    {
      const std::lock_guard guard(lock_);
      for (process_call* call : slot.assigned()) {
        if (call == nullptr)
          continue;
        end_books(*call);
        if (slot.had_begun(*call)) {
          lost.push_back(call);
          ++statistics_.failed_by_death;
        } else {
          refused.push_back(*call);
          ++statistics_.refused;
        }
      }
      slot.close();
    }
    for (process_call* call : lost)
      call->end_with(exception_of<worker_died>(pid, SIGKILL, 0, call->id));
  }
  {
    const std::lock_guard guard(lock_);
    intrusive_list<process_call> queued;
    refuse_queue(queued);
    refused.splice_back(queued);
  }
  while (!refused.empty())
    refused.pop_front().end_with(exception_of<pool_closed>());
  pump_taken_.store(false);
}

} // namespace fourfold::detail
