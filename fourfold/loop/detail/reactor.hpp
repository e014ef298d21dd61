#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/waiter.hpp>

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace fourfold::detail {

struct io_operation;

/// A file descriptor that a loop's operations use; non-blocking, not owned here.
struct io_descriptor {
  int fd = -1;
  /// The operation waiting in each direction, or null: at most one at a time.
  io_operation* incoming = nullptr;
  io_operation* outgoing = nullptr;
};

enum class io_kind : std::uint8_t {
  receive,  ///< data, size: result is the number of bytes, 0 at the end
  send,     ///< data, size: result is the number of bytes
  accept,   ///< result is the new descriptor, non-blocking
  connect,  ///< data, size: the address; result 0
  readable, ///< result 0 once there is something to read (or the end, or an error)
};

/// One system call that may have to wait. What it needs is in here; `result` is filled in on completion.
struct io_operation {
  io_kind kind;
  io_descriptor* descriptor;
  void* data = nullptr;
  std::size_t size = 0;
  /// Not negative: as the system call's. Negative: minus errno.
  std::ptrdiff_t result = 0;
  /// Who waits; set by whoever parks the operation.
  waiter* parked = nullptr;
};

/// Where operations on descriptors complete: the one part of the loop that differs between kernel interfaces.
/// It is a proactor: an operation is handed in, and comes back done. All but wake() belong to the loop's
/// thread.
class reactor {
 public:
  virtual ~reactor() = default;

  /// Makes a descriptor known, until detach(). Throws std::system_error.
  virtual void attach(io_descriptor& descriptor) = 0;
  virtual void detach(io_descriptor& descriptor) noexcept = 0;

  /// Does the operation if it need not wait; else false, and park() is next.
  [[nodiscard]] virtual bool try_now(io_operation& operation) noexcept = 0;
  /// Parks it until done. Throws `error` when another operation already waits in that direction.
  virtual void park(io_operation& operation) = 0;
  /// Takes a parked operation back: true, or false when it is done already.
  virtual bool withdraw(io_operation& operation) noexcept = 0;

  /// Completes what is there, sleeping until something is, or `deadline`, or wake(). A deadline that has
  /// passed only looks.
  virtual void wait(clock::time_point deadline) = 0;
  /// Ends one wait(), this one or the next. Any thread.
  virtual void wake() noexcept = 0;
  /// Sleeps until `count` wake() calls that were announced have all arrived, so that none of them finds the
  /// reactor gone.
  virtual void absorb_wakes(std::uint64_t count) noexcept = 0;
  /// How many wake() calls have arrived so far.
  [[nodiscard]] virtual std::uint64_t wakes() const noexcept = 0;
};

/// The best one this kernel allows, or the one that the environment variable FOURFOLD_REACTOR names. Throws
/// std::system_error, and `error` for a name that there is not.
std::unique_ptr<reactor> make_reactor();

} // namespace fourfold::detail
