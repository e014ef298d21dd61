#pragma once

#include <fourfold/loop/detail/uring.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace fourfold::detail {

/// What has been received for one descriptor and not yet been read: buffers, oldest first.
struct uring_received {
  static constexpr std::uint16_t none = 0xffff;
  std::uint16_t first = none;
  std::uint16_t last = none;
  std::uint16_t count = 0;

  [[nodiscard]] bool empty() const noexcept { return count == 0; }
};

/// The buffers that the kernel fills for descriptors which receive (“provided buffers”, io_uring(7)): a loop's
/// idle connections share them, and receiving needs no request per message.
///
/// There are few and they are small, so that those in use stay in the cache; whoever finds none receives
/// straight into the reader's memory.
class uring_buffers {
 public:
  static constexpr std::uint16_t group = 0;
  static constexpr std::size_t buffer_size = 2048;

  /// Gives the buffers to `ring`, also again after a change of rings. False if the kernel does not take them.
  [[nodiscard]] bool register_with(const uring& ring) noexcept;
  /// The ring is gone.
  void forget_ring() noexcept { registered_ = false; }

  /// The kernel has put `length` bytes into `buffer`: they go behind what is in `to`.
  void append(uring_received& to, std::uint16_t buffer, std::size_t length) noexcept;
  /// Moves what fits to `data`, and gives emptied buffers back.
  std::size_t take(uring_received& from, std::byte* data, std::size_t size) noexcept;
  void drop(uring_received& all) noexcept;
  void give_back(std::uint16_t buffer) noexcept;

 private:
  static constexpr std::uint16_t count = 256;

  struct use {
    std::uint16_t next;
    std::uint16_t offset;
    std::uint16_t length;
    bool with_us; // not with the kernel
  };

  void pop(uring_received& from) noexcept;
  [[nodiscard]] std::byte* at(std::uint16_t buffer) const noexcept {
    return memory_.data() + buffer * buffer_size;
  }

  std::array<use, count> uses_{};
  kernel_mapping memory_;
  kernel_mapping ring_;
  std::uint16_t tail_ = 0;
  bool registered_ = false;
};

} // namespace fourfold::detail
