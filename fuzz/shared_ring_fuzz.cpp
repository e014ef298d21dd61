// A peer that writes what it likes into a queue between processes: its bytes and its counters. Nothing but
// ring_corrupted may come of it, and nothing outside of the ring may be touched, which the sanitizers watch.
// Seeds: fuzz/corpus/shared_ring.

#include <fourfold/process/detail/shared_ring.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

namespace {

using namespace fourfold;
using namespace fourfold::detail;

constexpr std::size_t limit = 1000;

void require(bool holds) {
  if (!holds)
    std::abort();
}

// Takes values off the front of the input; zeros after its end.
class input_reader {
 public:
  explicit input_reader(std::span<const std::byte> bytes) : rest_(bytes) {}
  template <class T>
  T take() {
    T value{};
    const std::span<const std::byte> bytes = take_bytes(sizeof value);
    if (!bytes.empty())
      std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  std::span<const std::byte> take_bytes(std::size_t count) {
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
};

// Near another counter, where it is believed, or anywhere.
std::uint64_t counter_near(std::uint64_t other, input_reader& input) {
  const auto how = input.take<std::uint8_t>();
  if (how % 4 == 0)
    return input.take<std::uint64_t>();
  const std::uint64_t distance = input.take<std::uint16_t>();
  return how % 4 == 1 ? other - distance : other + distance;
}

void use(input_reader input, std::size_t record) {
  // On the heap and of exactly the ring's size, so that the address sanitizer sees the first byte beyond it.
  const std::size_t size = shared_ring::ring_bytes(limit);
  const auto memory = std::make_unique<std::byte[]>(size);
  shared_ring_header header;
  shared_ring ring(header, {memory.get(), size}, limit, record);
  const std::array<std::byte, limit> item{};
  do {
    switch (input.take<std::uint8_t>() % 6) {
    case 0: header.written = counter_near(header.read, input); break;
    case 1: header.read = counter_near(header.written, input); break;
    case 2: header.read_seen = counter_near(header.written, input); break;
    case 3: header.written_seen = counter_near(header.read, input); break;
    case 4: {
      const std::size_t place = input.take<std::uint16_t>() % size;
      const auto some = input.take_bytes(std::min<std::size_t>(input.take<std::uint8_t>(), size - place));
      if (!some.empty())
        std::memcpy(memory.get() + place, some.data(), some.size());
      break;
    }
    default: break;
    }
    const std::size_t length = record != 0 ? record : input.take<std::uint16_t>() % (limit - 16);
    try {
      static_cast<void>(ring.try_put(std::span(item).first(length), {}));
    } catch (const ring_corrupted&) { // NOLINT(bugprone-empty-catch): as it should
    }
    try {
      if (record != 0) {
        std::array<std::byte, 24> into{};
        static_cast<void>(ring.try_get(std::span(into).first(record), {}));
      } else {
        byte_buffer into;
        if (ring.try_get(into, {}))
          require(into.size() < limit);
      }
    } catch (const ring_corrupted&) { // NOLINT(bugprone-empty-catch): as it should
    }
  } while (!input.empty());
}

} // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  use(input_reader(std::as_bytes(std::span{data + 1, size - 1})), data[0] % 2 == 0 ? 0 : 24);
  return 0;
}
