#pragma once

#include <fourfold/base/clock.hpp>
#include <fourfold/base/waiter.hpp>

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace fourfold::detail {

struct io_operation;

/// A file descriptor that a loop's operations use. Its reactor makes it, keeps what it needs beside it, and
/// frees it.
struct io_descriptor {
  explicit io_descriptor(int descriptor) noexcept : fd(descriptor) {}

  int fd;
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
  /// The kernel has it, and what `data` points to: it ends by the kernel's word and not before.
  bool in_kernel = false;
  /// withdraw() was asked for: a result of -ECANCELED is the answer to that.
  bool withdrawn = false;

  [[nodiscard]] bool is_incoming() const noexcept {
    return kind == io_kind::receive || kind == io_kind::accept || kind == io_kind::readable;
  }
  /// Where it stands in its descriptor while it waits.
  [[nodiscard]] io_operation*& slot() const noexcept {
    return is_incoming() ? descriptor->incoming : descriptor->outgoing;
  }
  /// Its slot, taken for it. Throws `error` when another operation waits there.
  void occupy_slot();
  /// Ends the wait of a parked operation.
  void complete(std::ptrdiff_t r) noexcept;
};

/// Where operations on descriptors complete: the one part of the loop that differs between kernel interfaces.
/// It is a proactor: an operation is handed in, and comes back done. All but wake() belong to the loop's
/// thread.
class reactor {
 public:
  virtual ~reactor() = default;

  /// A loop begins to run on this thread. Throws std::system_error.
  virtual void begin_run() {}
  /// It ends: no operation waits any more, and the next run may be on another thread.
  virtual void end_run() noexcept {}

  /// Takes a non-blocking descriptor over, until close(). Throws std::system_error, and then did not.
  [[nodiscard]] virtual io_descriptor& attach(int fd) = 0;
  /// Closes it; operations that wait get -ECANCELED. Also after the last run, on any thread.
  virtual void close(io_descriptor& descriptor) noexcept = 0;

  /// Does the operation if it need not wait; else false, and park() is next.
  [[nodiscard]] virtual bool try_now(io_operation& operation) noexcept = 0;
  /// Parks it until done. Throws `error` when another operation already waits in that direction, and
  /// std::system_error when the kernel has no room for it.
  virtual void park(io_operation& operation) = 0;
  /// Asks for a parked operation back. True: it has it back, without effect. False: it is done, or the kernel
  /// has it and ends it soon, with -ECANCELED unless it was done before; it will be woken.
  virtual bool withdraw(io_operation& operation) noexcept = 0;

  /// Completes what is there, sleeping until something is, or `deadline`, or wake(). A deadline that has
  /// passed only looks.
  virtual void wait(clock::time_point deadline) = 0;
  /// Ends one wait(), this one or the next. Any thread.
  virtual void wake() noexcept = 0;
  /// Sleeps until `count` wake() calls that were announced have all arrived, so that none of them finds the
  /// reactor gone. Not while a loop runs.
  virtual void absorb_wakes(std::uint64_t count) noexcept = 0;
  /// As the environment variable FOURFOLD_REACTOR calls it.
  [[nodiscard]] virtual const char* name() const noexcept = 0;
};

/// The best one this kernel allows (io_uring, else epoll), or the one that the environment variable
/// FOURFOLD_REACTOR names. Throws std::system_error, also when the one that is named is not allowed here, and
/// `error` for a name that there is not.
std::unique_ptr<reactor> make_reactor();

} // namespace fourfold::detail
