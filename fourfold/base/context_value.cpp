#include <fourfold/base/context_value.hpp>

namespace fourfold {
namespace detail {

void context_node::drop_reference(const context_node* node) noexcept {
  // In a loop: a chain may be long. Release, then acquire by the last one: it destroys what all others have read.
  while (node != nullptr && node->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    const context_node* parent = node->parent_;
    delete node;
    node = parent;
  }
}

carried_value::~carried_value() {
  static_cast<void>(context_bindings(decoded_.load(std::memory_order_acquire))); // drops it
}

bool carried_value::encode(encoder& out) const {
  out.write(name_, type_, bytes_);
  return true;
}

bool carried_value::same_value(const context_node& later) const noexcept {
  const auto* other = dynamic_cast<const carried_value*>(&later);
  return other != nullptr && other->is(name_, type_);
}

} // namespace detail

namespace {

bool is_hidden(const detail::context_node& node, const detail::context_node* newest) noexcept {
  for (const auto* later = newest; later != &node; later = later->parent()) {
    if (node.same_value(*later))
      return true;
  }
  return false;
}

// Latest first, so that those which are bound again over there stand in the right order; each preceded by a
// mark.
constexpr std::uint8_t another = 1;
constexpr std::uint8_t end = 0;

context_bindings decode_next(decoder& in) {
  const auto mark = in.read<std::uint8_t>();
  if (mark == end)
    return {};
  if (mark != another)
    in.fail("a mark of a bound value that cannot be");
  auto name = in.read<std::string>();
  auto type = in.read<std::string>();
  auto bytes = in.read<std::vector<std::byte>>();
  context_bindings before = decode_next(in);
  const auto* node =
      new detail::carried_value(before.newest(), std::move(name), std::move(type), std::move(bytes));
  static_cast<void>(before.release()); // the node's now
  return context_bindings(node);
}

} // namespace

void encode_context(encoder& out) {
  const auto* newest = coroutine_context::bindings_slot();
  for (const auto* node = newest; node != nullptr; node = node->parent()) {
    if (is_hidden(*node, newest))
      continue;
    byte_buffer one;
    encoder value(one);
    if (!node->encode(value))
      continue;
    out.write(another);
    out.write_bytes(one.bytes());
  }
  out.write(end);
}

context_bindings decode_context(decoder& in) { return decode_next(in); }

} // namespace fourfold
