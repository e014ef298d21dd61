#pragma once

#include <cstdint>

namespace fourfold::detail {

/// The steps of the protocol between a pool and its workers at which a process may be killed from outside, and the other
/// side must cope. Tests do so at each: see fault_injection/.
enum class fault_step : std::uint8_t {
  none,
  // In a worker.
  worker_serves,
  worker_took_call,
  worker_received_large_call,
  worker_reported_begin,
  worker_ran_function,
  worker_started_coroutine,
  worker_ended_coroutine,
  worker_cancelled_coroutine,
  worker_was_told,
  worker_caught_exception,
  worker_sealed_large_result,
  worker_sent_large_result,
  worker_wrote_result,
  worker_rang,
  worker_waits_for_room,
  worker_announced_sleep,
  worker_woke,
  worker_finishes,
  // In the program.
  pool_wrote_call,
  pool_sent_large_call,
  pool_woke_worker,
  pool_announced_sleep,
  pool_read_result,
  pool_took_call_off_books,
  pool_ended_call,
  pool_took_call_back,
  pool_told_function,
  pool_killed_worker,
  pool_found_worker_dead,
  pool_buried_worker,
  pool_opened_channel,
  pool_asked_for_worker,
  pool_sent_finish,
  end,
};
inline constexpr fault_step first_step_of_worker = fault_step::worker_serves;
inline constexpr fault_step first_step_of_pool = fault_step::pool_wrote_call;

/// Kills this process by SIGKILL if a test has asked for that at this step. Nothing at all in the library that is
/// installed.
#if defined(FOURFOLD_FAULT_POINTS)
void fault_point(fault_step step) noexcept;
#else
inline void fault_point(fault_step) noexcept {}
#endif

} // namespace fourfold::detail
