#pragma once

#include <fourfold/base/codec.hpp>
#include <fourfold/process/detail/shared_memory.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace fourfold::detail {

/// What a received block is for: many write it, one owns it, or all only read it.
enum class memory_access : std::uint8_t { shared, owned, frozen };

/// Memory shared between processes, mapped here: what shared_memory, shared_value and the others are handles
/// of. A block without a name is a memory file that cannot shrink, so that nobody can pull pages from under
/// another's mapping, and travels by its descriptor. A block with a name has no descriptor: it is a System V
/// segment that is marked for removal as soon as it exists. The kernel frees it with its last mapping, and
/// until then it can be found.
class memory_block final : public attachment {
 public:
  memory_block(unique_fd file, shared_mapping mapping) noexcept
      : attachment(std::move(file)), mapping_(std::move(mapping)) {}

  /// A new one of `size` bytes without a name; throws std::system_error.
  [[nodiscard]] static std::shared_ptr<memory_block> make(std::size_t size);
  /// What the decoder's next attachment is, at least `size` bytes of it; decode_error if it is no such block.
  [[nodiscard]] static std::shared_ptr<memory_block> receive(decoder& in, std::size_t size,
                                                             memory_access access);
  /// Grows the file and the mapping, which may move. Throws std::system_error, and has had no effect then.
  void grow(std::size_t size);
  /// Makes the mapping read-only here, and everywhere for whoever maps it from now on.
  void freeze();

  [[nodiscard]] bool stands_for(int received) const noexcept override;
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return mapping_.bytes(); }
  [[nodiscard]] std::byte* data() const noexcept { return mapping_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return mapping_.bytes().size(); }

 private:
  shared_mapping mapping_;
  bool writable_ = true;
};

/// Finds or makes a named block. `how`: what is allowed.
enum class naming : std::uint8_t { create, open, either };
[[nodiscard]] std::shared_ptr<memory_block> named_block(std::string_view name, std::size_t size, naming how);

/// Throws std::system_error (not_enough_memory) if the machine cannot have so much more.
void require_memory(std::size_t size);

} // namespace fourfold::detail
