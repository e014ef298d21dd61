#pragma once

#include <fourfold/base/codec.hpp>
#include <fourfold/base/intrusive_list.hpp>
#include <fourfold/process/detail/worker_channel.hpp>
#include <fourfold/process/process_call_options.hpp>
#include <fourfold/sync/future.hpp>

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <type_traits>
#include <utility>

namespace fourfold::detail {

class process_pool_core;

/// A call on its way through a process pool, without its result's type. Linked in the pool's queue while it
/// waits for a worker. The pool holds one reference until it has ended.
class process_call : public list_links {
 public:
  process_call(std::shared_ptr<process_pool_core> pool, call_kind kind,
               const process_call_options& call_options) noexcept
      : options(call_options), pool_(std::move(pool)), kind_(kind) {}
  process_call(const process_call&) = delete;
  process_call& operator=(const process_call&) = delete;

  /// Ends it with the encoded result, or with an exception; drops the pool's reference. Once.
  virtual void end_with_value(decoder& in) noexcept = 0;
  virtual void end_with(std::exception_ptr exception) noexcept = 0;
  /// Drops the pool's reference without a result: the call was refused.
  virtual void abandon() noexcept = 0;

  [[nodiscard]] call_kind kind() const noexcept { return kind_; }
  /// What is bound where it was submitted, the code address of its thunk, and the encoded arguments.
  [[nodiscard]] byte_buffer& payload() noexcept { return payload_; }
  /// The payload in sealed memory instead, if it is too large for a ring.
  unique_fd large_payload;
  [[nodiscard]] process_pool_core& pool() const noexcept { return *pool_; }

  const process_call_options options;

  // All below belong to the pool and are guarded by its lock.

  enum class place : std::uint8_t { nowhere, queued, assigned, ended };
  place where = place::nowhere;
  /// Somebody is parked on the result, or waits for what the call carries to be let go of.
  bool watched = false;
  /// How many workers died with it in their rings, as far as one can tell not begun.
  std::uint8_t redeliveries = 0;
  /// How often it has been run again after a death.
  unsigned repeated = 0;
  /// It holds a place in the bounded queue.
  bool holds_room = false;
  /// Somebody has asked to cancel it while it ran.
  bool cancel_asked = false;
  /// Its soft time limit has passed, and it was told.
  bool limit_told = false;
  /// Why its worker is being killed, if it is the reason.
  enum class verdict : std::uint8_t { none, timed_out, cancelled };
  verdict killed_for = verdict::none;
  /// While assigned: the worker has said that it has begun; since when its limits count.
  bool begun = false;
  clock::time_point since;
  /// When it is killed for not having heeded.
  clock::time_point kill_time = never;
  /// Its place in call_deadlines.
  bool has_deadline = false;
  std::multimap<clock::time_point, process_call*>::iterator deadline;
  /// The call's number in the pool, from 1.
  std::uint64_t id = 0;
  /// While assigned: the worker, the call's number there, and where its message stands in the ring.
  std::uint32_t worker = 0;
  std::uint64_t number = 0;
  std::uint64_t ring_position = 0;

 protected:
  ~process_call() = default;

  std::shared_ptr<process_pool_core> pool_;

 private:
  call_kind kind_;
  byte_buffer payload_;
};

// What a waiting future asks of the pool; see process_pool_core.
void drive_pool(process_pool_core& pool, const future_state_base& awaited, const wait_limit& limit);
void watch_call(process_call& call) noexcept;
bool cancel_process_call(process_call& call) noexcept;

template <class R>
class typed_process_call final : public future_state<R>, public process_call {
 public:
  using process_call::process_call;

  void end_with_value(decoder& in) noexcept override {
    this->set_result_of([&]() -> R {
      if constexpr (std::is_void_v<R>) {
        in.finish();
      } else {
        R value = in.template read<R>();
        in.finish();
        return value;
      }
    });
    this->drop_reference();
  }
  void end_with(std::exception_ptr exception) noexcept override {
    static_cast<void>(
        payload().take_attachments()); // shared memory goes with the call, however long the future lives
    this->set_exception(std::move(exception));
    this->drop_reference();
  }

  void abandon() noexcept override { this->drop_reference(); }

  bool cancel_work() noexcept override { return cancel_process_call(*this); }

 private:
  void assist(const wait_limit& limit) override { drive_pool(*pool_, *this, limit); }
  void parked() noexcept override { watch_call(*this); }
  void polled() noexcept override { watch_call(*this); }
};

} // namespace fourfold::detail
