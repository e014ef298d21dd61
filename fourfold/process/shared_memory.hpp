#pragma once

#include <fourfold/base/codec.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace fourfold {

namespace detail {
class memory_block;
}

/// A block of memory that several processes have in common, filled with zeros at first. This is a handle: its
/// copies, and what arrives where it is sent (as an argument or result of a process pool, through a
/// process_pipe), are the same memory; one with a name does not travel, its name does. It lives as long as anybody has it, and the kernel takes it back when
/// the last one lets go or dies, however that is: nothing remains in /dev/shm or elsewhere, and nobody who
/// only came later can destroy it.
///
///   auto m = shared_memory::anonymous(1 << 20);            // for those it is sent to
///   pool.submit(fill, m).get();
///   auto n = shared_memory::create("prices", 4096);        // for unrelated programs of the same user
///   auto o = shared_memory::open("prices", 4096);
///
/// All of it is set aside at once: a machine without enough memory says so here, with std::system_error
/// (not_enough_memory), and not with a signal later. Where the system allows it, blocks of 2 MiB and more use
/// huge pages.
///
/// Who maps the same bytes may write them at any time: put a process_mutex or atomics in it, or use
/// shared_value, shared_array, shared_vector, process_queue, which are made of this.
///
/// Cancellation: nothing here waits. Threads: as a std::shared_ptr. Destroying the last handle of a process
/// unmaps it there.
class shared_memory {
 public:
  shared_memory() noexcept = default;

  /// `size` bytes, more than 0, without a name.
  [[nodiscard]] static shared_memory anonymous(std::size_t size);

  /// A new block with a name, of 1 to 200 bytes, which is free again when its last user has gone. Throws
  /// std::system_error: file_exists if there is one, not_enough_memory.
  [[nodiscard]] static shared_memory create(std::string_view name, std::size_t size);
  /// The block with that name. Throws std::system_error: no_such_file_or_directory if there is none,
  /// invalid_argument if it has another size.
  [[nodiscard]] static shared_memory open(std::string_view name, std::size_t size);
  /// Whichever of the two is possible.
  [[nodiscard]] static shared_memory open_or_create(std::string_view name, std::size_t size);

  [[nodiscard]] explicit operator bool() const noexcept { return block_ != nullptr; }
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::byte* data() const noexcept;
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data(), size()}; }

 private:
  friend struct codec<shared_memory>;
  explicit shared_memory(std::shared_ptr<const detail::memory_block> block) noexcept
      : block_(std::move(block)) {}

  std::shared_ptr<const detail::memory_block> block_;
};

template <>
struct codec<shared_memory> {
  static constexpr std::size_t least_bytes = sizeof(std::size_t);
  static void encode(encoder& out, const shared_memory& value);
  static shared_memory decode(decoder& in);
};

} // namespace fourfold
