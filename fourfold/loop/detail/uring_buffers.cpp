#include <fourfold/loop/detail/uring_buffers.hpp>

#include <algorithm>
#include <cstring>
#include <system_error>

namespace fourfold::detail {

bool uring_buffers::register_with(const uring& ring) noexcept {
  if (registered_)
    return true;
  try {
    if (memory_.data() == nullptr) {
      kernel_mapping memory(count * buffer_size, -1, 0);
      ring_ = kernel_mapping(count * sizeof(io_uring_buf), -1, 0);
      memory_ = std::move(memory);
    }
  } catch (const std::system_error&) {
    return false;
  }
  std::memset(ring_.data(), 0, count * sizeof(io_uring_buf));
  tail_ = 0;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(ring_.data());
  registration.ring_entries = count;
  registration.bgid = group;
  if (ring.register_with(IORING_REGISTER_PBUF_RING, &registration, 1) != 0)
    return false;
  registered_ = true;
  for (std::uint16_t buffer = 0; buffer < count; ++buffer) {
    if (!uses_[buffer].with_us)
      give_back(buffer);
  }
  return true;
}

void uring_buffers::give_back(std::uint16_t buffer) noexcept {
  uses_[buffer].with_us = false;
  if (!registered_)
    return; // it goes to the next ring
  // The tail that both sides know lies in the first entry's unused field.
  auto* entries = ring_.at<io_uring_buf>(0);
  io_uring_buf& entry = entries[tail_ % count];
  entry.addr = reinterpret_cast<std::uintptr_t>(at(buffer));
  entry.len = buffer_size;
  entry.bid = buffer;
  // Release: the entry before the tail.
  std::atomic_ref(entries[0].resv).store(++tail_, std::memory_order_release);
}

void uring_buffers::append(uring_received& to, std::uint16_t buffer, std::size_t length) noexcept {
  uses_[buffer] = {uring_received::none, 0, static_cast<std::uint16_t>(length), true};
  if (to.empty()) {
    to.first = buffer;
  } else {
    uses_[to.last].next = buffer;
  }
  to.last = buffer;
  ++to.count;
}

void uring_buffers::pop(uring_received& from) noexcept {
  const std::uint16_t buffer = from.first;
  from.first = uses_[buffer].next;
  --from.count;
  give_back(buffer);
}

std::size_t uring_buffers::take(uring_received& from, std::byte* data, std::size_t size) noexcept {
  std::size_t taken = 0;
  while (taken < size && !from.empty()) {
    use& oldest = uses_[from.first];
    const auto some = static_cast<std::uint16_t>(std::min<std::size_t>(size - taken, oldest.length));
    std::memcpy(data + taken, at(from.first) + oldest.offset, some);
    taken += some;
    oldest.offset = static_cast<std::uint16_t>(oldest.offset + some);
    oldest.length = static_cast<std::uint16_t>(oldest.length - some);
    if (oldest.length == 0)
      pop(from);
  }
  return taken;
}

void uring_buffers::drop(uring_received& all) noexcept {
  while (!all.empty())
    pop(all);
}

} // namespace fourfold::detail
