#include <fourfold/process/detail/memory_block.hpp>
#include <fourfold/process/shared_memory.hpp>

namespace fourfold {

shared_memory shared_memory::anonymous(std::size_t size) {
  return shared_memory(detail::memory_block::make(size));
}
shared_memory shared_memory::create(std::string_view name, std::size_t size) {
  return shared_memory(detail::named_block(name, size, detail::naming::create));
}
shared_memory shared_memory::open(std::string_view name, std::size_t size) {
  return shared_memory(detail::named_block(name, size, detail::naming::open));
}
shared_memory shared_memory::open_or_create(std::string_view name, std::size_t size) {
  return shared_memory(detail::named_block(name, size, detail::naming::either));
}

std::size_t shared_memory::size() const noexcept { return block_ != nullptr ? block_->size() : 0; }
std::byte* shared_memory::data() const noexcept { return block_ != nullptr ? block_->data() : nullptr; }

void codec<shared_memory>::encode(encoder& out, const shared_memory& value) {
  if (value && value.block_->fd() < 0)
    throw error("a named block of shared memory does not travel: send its name, and open it there");
  out.write(value.size());
  if (value)
    out.attach(value.block_);
}

shared_memory codec<shared_memory>::decode(decoder& in) {
  const auto size = in.read<std::size_t>();
  return size == 0 ? shared_memory()
                   : shared_memory(detail::memory_block::receive(in, size, detail::memory_access::shared));
}

} // namespace fourfold
