#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>

namespace fourfold::detail {

/// The numbers go from 1 to this.
inline constexpr int last_signal = 64;

/// Signals as a set of bits: bit n - 1 stands for signal n.
using signal_mask = std::uint64_t;
constexpr signal_mask signal_bit(int number) noexcept { return signal_mask{1} << (number - 1); }

/// A receiver of signals, as the process's one signal handler sees it. All slots are in one list that only
/// grows, and are used again: a handler may be late by any amount on any thread, and touches nothing that is
/// gone.
class signal_slot {
 public:
  enum class role : bool {
    set,       ///< every set gets every signal that it wants
    interrupt, ///< gets what no set wants; its second signal ends the process as SIG_DFL would
  };

  /// From here on the signals `wanted` come to the slot, and each of them rings the eventfd `bell`. Any
  /// thread. If it throws (std::system_error, std::bad_alloc), nothing has changed.
  static signal_slot& open(role plays, signal_mask wanted, int bell);
  /// After this no handler touches the bell. A signal that no other slot wants does again what it did before
  /// the first one. Any thread. True if a signal has arrived that was not taken.
  bool close() noexcept;

  /// Takes out one that has arrived, the lowest number first; 0 if none has. Real-time signals are counted,
  /// others are there or not, as the kernel keeps those that are pending.
  int take() noexcept;

 private:
  friend class signal_registry;

  // Written while `wanted_` is empty, so that a handler which has seen it set sees them, too.
  role plays_ = role::set;
  int bell_ = -1;
  pid_t owner_ = 0;
  signal_slot* next_ = nullptr; // never changes once the slot is in the list
  bool open_ = false;           // guarded by the registry's lock

  // Sequentially consistent, these two: either close() sees a handler inside, or that handler sees that
  // nothing is wanted any more.
  std::atomic<signal_mask> wanted_{0};
  std::atomic<std::uint32_t> handlers_inside_{0};
  /// How often each number has arrived and was not taken.
  std::array<std::atomic<std::uint32_t>, last_signal + 1> arrived_{};
};

/// Whether the signal's disposition is SIG_DFL.
[[nodiscard]] bool has_default_disposition(int number) noexcept;

/// Ends the process as SIG_DFL does with a signal that ends processes. Async-signal-safe.
[[noreturn]] void die_by(int number) noexcept;

} // namespace fourfold::detail
