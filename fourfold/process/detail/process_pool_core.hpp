#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/intrusive_list.hpp>
#include <fourfold/base/small_lock.hpp>
#include <fourfold/base/unique_fd.hpp>
#include <fourfold/process/detail/call_deadlines.hpp>
#include <fourfold/process/detail/call_queue.hpp>
#include <fourfold/process/detail/process_call.hpp>
#include <fourfold/process/detail/spin_budget.hpp>
#include <fourfold/process/detail/template_process.hpp>
#include <fourfold/process/detail/worker_slot.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/semaphore.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace fourfold::detail {

/// How often a pool with a sandbox looks though nobody has rung: a worker may act with intent, and take what others have
/// rung.
constexpr auto look_at_sandboxed = std::chrono::milliseconds(100);

/// What a process pool is. Two guards:
///
/// - `lock_`, for a few instructions at a time: the queue, the books of who holds what, and writing into call
/// rings.
/// - the *pump*, a role that one thread at a time takes: reading result rings and ending calls. A thread that
/// waits for a
///   result takes it if it is free (then it is the *driver*, and workers wake it directly); otherwise the
///   service thread takes it whenever a worker rings for it. Burying and replacing workers is the service
///   thread's work alone; it makes a driver give the pump back for that.
///
/// Whoever gives the pump back leaves word with the workers whom to ring (`want_bell`): the service, if
/// somebody is parked on a result, calls are queued, a worker holds more than it runs, or a call carries
/// attachments, which are let go of at its end; else nobody, because the results can wait in their rings until
/// somebody looks. Giving back and wanting the service are
/// checked crosswise (see ensure_service and leave_pump), so a result that somebody waits for always rings.
class process_pool_core : public std::enable_shared_from_this<process_pool_core> {
 public:
  explicit process_pool_core(process_pool_options options);
  ~process_pool_core();
  process_pool_core(const process_pool_core&) = delete;
  process_pool_core& operator=(const process_pool_core&) = delete;

  [[nodiscard]] const process_call_options& default_options() const noexcept { return options_.calls; }
  /// The permits of a bounded queue, one for each call that may wait in it; else null. A call brings its permit
  /// along (`holds_room`).
  [[nodiscard]] semaphore* room() noexcept { return room_ ? &*room_ : nullptr; }

  /// Takes over one reference to `call`, also when it throws.
  void submit(process_call& call);
  /// A thread is about to wait for `awaited`: takes the pump, if it is free, until it is ready or the limit
  /// is reached.
  void drive(const future_state_base& awaited, const wait_limit& limit);
  /// Somebody is parked on `call`.
  void watch(process_call& call) noexcept;
  bool cancel(process_call& call) noexcept;

  enum class ending : bool { finish, kill };
  void shutdown(ending how, const wait_limit& limit = {});

  [[nodiscard]] unsigned size() const noexcept { return static_cast<unsigned>(places_.size()); }
  [[nodiscard]] std::vector<pid_t> worker_pids();
  [[nodiscard]] process_pool_statistics statistics();
  [[nodiscard]] std::vector<process_worker_statistics> worker_statistics();

 private:
  /// Workers to wake at the end of a section under the lock: declared after the guard, since outside of the
  /// lock a worker's channel may be closed at any moment.
  class wake_list {
   public:
    explicit wake_list(process_pool_core& core) noexcept : core_(core) {}
    ~wake_list();
    wake_list(const wake_list&) = delete;
    wake_list& operator=(const wake_list&) = delete;
    void add(const worker_slot& slot) noexcept;

   private:
    process_pool_core& core_;
    std::uint64_t first_ = 0; // a bit for each of the first 64
    bool others_ = false;
  };

  // Handing out; under lock_.
  bool assign(process_call& call, wake_list& to_wake);
  bool hand_to(worker_slot& slot, process_call& call);
  void enqueue(process_call& call) noexcept;
  void enqueue_again(process_call& call) noexcept;
  void leave_queue(process_call& call) noexcept;
  void refuse_queue(intrusive_list<process_call>& refused) noexcept;
  void give_room_back(process_call& call) noexcept;
  void hand_out(wake_list& to_wake);
  void share_out_ahead(wake_list& to_wake);
  [[nodiscard]] worker_slot* least_loaded(process_call& call) noexcept;
  void recount_ahead() noexcept;
  void end_books(process_call& call) noexcept;

  // Telling calls to stop, and killing the workers of those that do not; under lock_.
  bool tell(process_call& call, wake_list& to_wake) noexcept;
  void begin_limits(process_call& call) noexcept;
  void wake_at(process_call& call, clock::time_point time) noexcept;
  void hand_out_soon() noexcept;
  void enforce_limits();
  void enforce(process_call& call, clock::time_point now, wake_list& to_wake) noexcept;

  // Recycling; on the service thread, which holds the pump.
  void look_at_memory(worker_slot& slot, const message_header& header);
  [[nodiscard]] bool needs_successor(const worker_slot& slot) const noexcept;
  [[nodiscard]] bool is_used_up(const worker_slot& slot) const noexcept;
  [[nodiscard]] worker_slot* successor_of(const worker_slot& slot) noexcept;
  worker_slot& spare_slot();
  void want_recycling() noexcept;
  void recycle();
  /// The slot of its successor, to be started; null if there is to be none now.
  worker_slot* open_successor(const worker_slot& slot);
  /// Whether its successor has taken its place now.
  bool take_over(worker_slot& slot);
  void retire(worker_slot& slot);
  [[nodiscard]] std::string name_of(std::uint32_t place) const;

  // The pump.
  [[nodiscard]] bool try_pump() noexcept { return !pump_taken_.exchange(true); }
  void leave_pump();
  bool pump_once();
  bool collect(worker_slot& slot);
  void handle_result(worker_slot& slot, const message_header& header);
  void handle_begin(worker_slot& slot, std::uint64_t number);
  void handle(template_process::notice_or_end& news);
  void bury(worker_slot& slot, int signal, int exit_code);
  void count_failed_start();
  void revive(worker_slot& slot);
  void revive_all();
  void start_worker(worker_slot& slot);
  void restart_template();
  void give_up(const std::string& why);
  [[nodiscard]] bool any_results() const noexcept;
  void want_bell(result_bell bell) noexcept;
  void sleep_as_driver(clock::time_point deadline) noexcept;

  // The service thread.
  void serve();
  [[nodiscard]] bool service_wanted() const noexcept;
  void ensure_service() noexcept;
  void take_pump() noexcept;
  void read_notices();
  /// Milliseconds, or -1 for ever; for the service thread's poll().
  [[nodiscard]] int time_to_sleep();
  void let_submitters_through();
  void end_workers();

  process_pool_options options_;
  bell_mode bell_mode_; // of the driver's bell and the workers'
  unique_fd driver_bell_;
  unique_fd service_bell_;
  // The service thread's, but for the constructor, which starts the first workers beside it.
  std::optional<template_process> template_;
  std::mutex template_mutex_;
  unique_fd setup_; // of each worker; none if there is nothing to set up
  /// They do not move; one is added under lock_ and the pump.
  std::deque<worker_slot> slots_;
  std::optional<semaphore> room_;
  std::atomic<bool> submitters_let_through_{false};

  small_lock lock_;
  call_queue queue_;
  call_deadlines deadlines_;
  /// When the service thread looks at the deadlines next.
  clock::time_point armed_for_ = never;
  // When calls are to be handed out though nothing has happened: what kept one from it passes without a sign.
  clock::time_point hand_out_at_ = never;
  /// What becomes of the statistics of each worker when another process takes its place.
  std::vector<process_worker_statistics> places_;
  bool closed_ = false;
  std::string broken_; // why the pool gave up; empty while it has not
  process_pool_statistics statistics_;
  std::size_t live_calls_ = 0;
  double mean_duration_ = 0; // of recent function calls, nanoseconds
  std::size_t depth_ = 1;    // how many function calls a worker may hold

  // Why the service is wanted; written under lock_, read crosswise with pump_taken_, all sequentially
  // consistent.
  std::atomic<std::size_t> queued_{0};
  std::atomic<std::size_t> watched_{0};
  std::atomic<std::size_t> ahead_{0};
  std::atomic<bool> draining_{false};
  /// Live calls that have a limit: their workers report when they begin.
  std::atomic<std::size_t> limited_{0};

  std::atomic<bool> pump_taken_{false};
  /// The service thread was rung and found the pump taken.
  std::atomic<bool> look_again_{false};
  /// The service thread needs the pump: whoever has it gives it back at once.
  std::atomic<bool> pump_requested_{false};
  std::atomic<bool> service_armed_{false};
  result_bell bell_ = result_bell::none; // under the pump
  spin_budget spin_;                     // under the pump
  unsigned template_restarts_ = 0;       // without a worker that served in between; under the pump
  bool slot_missing_ = false;            // a worker could not be replaced and is tried again; under the pump
  unsigned failed_starts_ = 0;           // in a row; under the pump
  std::uint64_t finished_at_failed_start_ = 0; // how many calls had; under the pump
  bool recycling_left_over_ = false;           // something of it must be tried again; under the pump

  /// A worker is to be recycled.
  std::atomic<bool> recycling_due_{false};
  std::atomic<bool> stopping_{false};
  event drained_;
  mutex shutdown_;
  bool ended_ = false; // under shutdown_
  std::thread service_;
};

} // namespace fourfold::detail
