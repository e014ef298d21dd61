#pragma once

#include <fourfold/base/codec.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/process/detail/memory_block.hpp>
#include <fourfold/process/detail/shared_ring.hpp>
#include <fourfold/process/detail/spin_budget.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace fourfold::detail {

/// One end of a process_queue, without its type: the ring, and one of a pair of sockets. Those who put hold one,
/// those who get the other. A byte through them wakes one sleeper; and when the last holder of the other
/// socket has closed it or died, the kernel says so, which is the end of the file.
///
/// A sleeper counts itself, looks at the ring once more, and sleeps until its socket is readable; who puts or
/// takes an item looks at the count afterwards, takes one off and writes a byte. All are sequentially
/// consistent, so one of the two sees the other. Somebody killed between the item and the byte, or between the
/// byte and the item, leaves a sleeper with nothing that wakes it, so sleepers look again after 100 ms. Nothing
/// is concluded from that time.
class queue_end {
 public:
  enum class side : std::uint8_t { put, get };

  /// Both ends of a new queue: put, get.
  [[nodiscard]] static std::array<queue_end, 2> make(std::size_t limit, std::size_t record);

  /// Puts or gets by `attempt` (a callable that answers whether it did it), waiting until it can. False: it
  /// cannot any more, for the queue is closed or the other side has gone. `room`: what a put needs.
  template <class Attempt>
  bool do_when_possible(Attempt&& attempt, std::size_t room, const wait_limit& limit) {
    for (;;) {
      const bool over = closed();
      if (over && which_ == side::put)
        return false;
      if (do_now(attempt))
        return true;
      // What was put before the other side went is still there to get.
      if (over || !sleep(room, limit))
        return which_ == side::get && do_now(attempt);
    }
  }
  /// The same for a coroutine. `attempt` lives in the caller's frame.
  template <class Attempt>
  task<bool> async_do_when_possible(Attempt& attempt, std::size_t room) {
    for (;;) {
      const bool over = closed();
      if (over && which_ == side::put)
        co_return false;
      if (do_now(attempt))
        co_return true;
      bool goes_on = false;
      if (!over)
        goes_on = co_await async_sleep(room);
      if (!goes_on)
        co_return which_ == side::get&& do_now(attempt);
    }
  }
  /// Without waiting.
  template <class Attempt>
  bool do_now(Attempt&& attempt) {
    if (!attempt())
      return false;
    wake_other_side();
    return true;
  }

  [[nodiscard]] shared_ring& ring() noexcept { return ring_; }
  [[nodiscard]] bool closed() const noexcept { return ring_.closed(); }
  void close() noexcept;

  void encode(encoder& out) const;
  [[nodiscard]] static queue_end decode(decoder& in, side which, std::size_t record);

 private:
  queue_end(std::shared_ptr<memory_block> memory, std::shared_ptr<const attachment> socket, side which,
            std::size_t limit, std::size_t record);

  [[nodiscard]] bool possible(std::size_t room) const noexcept {
    return closed() || (which_ == side::get ? ring_.has_item() : ring_.has_room(room));
  }
  void wake_other_side() const noexcept;
  /// Until it may be possible, or some time has passed; false if the other side has gone.
  bool sleep(std::size_t room, const wait_limit& limit);
  task<bool> async_sleep(std::size_t room);
  std::atomic<std::uint32_t>& asleep(side which) const noexcept {
    return which == side::get ? ring_.header().getters_asleep : ring_.header().putters_asleep;
  }

  std::shared_ptr<memory_block> memory_;
  std::shared_ptr<const attachment> socket_;
  side which_;
  shared_ring ring_;
  spin_budget spin_;
};

} // namespace fourfold::detail
