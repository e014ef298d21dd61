#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/intrusive_list.hpp>
#include <fourfold/base/small_lock.hpp>
#include <fourfold/base/unique_fd.hpp>
#include <fourfold/process/detail/process_call.hpp>
#include <fourfold/process/detail/spin_budget.hpp>
#include <fourfold/process/detail/template_process.hpp>
#include <fourfold/process/detail/worker_slot.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/sync/mutex.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace fourfold::detail {

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
/// somebody is parked on a result, calls are queued, or a worker holds more than it runs; else nobody,
/// because the results can wait in their rings until somebody looks. Giving back and wanting the service are
/// checked crosswise (see ensure_service and leave_pump), so a result that somebody waits for always rings.
class process_pool_core : public std::enable_shared_from_this<process_pool_core> {
 public:
  explicit process_pool_core(process_pool_options options);
  ~process_pool_core();
  process_pool_core(const process_pool_core&) = delete;
  process_pool_core& operator=(const process_pool_core&) = delete;

  /// Takes over one reference to `call`, also when it throws.
  void submit(process_call& call);
  /// A thread is about to wait for `awaited`: takes the pump, if it is free, until it is ready or the limit
  /// is reached.
  void drive(const future_state_base& awaited, const wait_limit& limit);
  /// Somebody is parked on `call`.
  void watch(process_call& call) noexcept;
  bool cancel(process_call& call) noexcept;

  enum class ending : bool { finish, kill };
  void shutdown(ending how);

  [[nodiscard]] unsigned size() const noexcept { return static_cast<unsigned>(slots_.size()); }
  [[nodiscard]] std::vector<pid_t> worker_pids();
  [[nodiscard]] process_pool_statistics statistics();

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
  void hand_out(wake_list& to_wake);
  void share_out_ahead(wake_list& to_wake);
  [[nodiscard]] worker_slot* least_loaded(call_kind kind) noexcept;
  void recount_ahead() noexcept;
  void end_books(process_call& call) noexcept;

  // The pump.
  [[nodiscard]] bool try_pump() noexcept { return !pump_taken_.exchange(true); }
  void leave_pump();
  bool pump_once();
  bool collect(worker_slot& slot);
  void handle_result(worker_slot& slot, const message_header& header);
  void handle(template_process::notice_or_end& news);
  void bury(worker_slot& slot, int signal, int exit_code);
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
  void end_workers();

  process_pool_options options_;
  unique_fd driver_bell_;  // eventfd, blocking
  unique_fd service_bell_; // eventfd, non-blocking
  std::optional<template_process> template_;
  std::deque<worker_slot> slots_; // they do not move

  small_lock lock_;
  intrusive_list<process_call> queue_;
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

  std::atomic<bool> stopping_{false};
  event drained_;
  mutex shutdown_;
  bool ended_ = false; // under shutdown_
  std::thread service_;
};

} // namespace fourfold::detail
