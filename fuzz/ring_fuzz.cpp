// A peer that writes what it likes into the memory it shares with us. By the first byte: the bytes and the
// write counters that a reader finds, the claims and the read counters that a writer finds, or an exception
// that comes out of a message. Nothing but ring_corrupted or decode_error may come of it, and nothing outside
// of the ring may be touched, which the sanitizers watch. Seeds: fuzz/corpus/ring.

#include <fourfold/base/codec.hpp>
#include <fourfold/process/detail/exception_codec.hpp>
#include <fourfold/process/detail/ring.hpp>
#include <fourfold/process/register_exception.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace {

struct failure_of_a_user {
  int code;
  std::vector<std::string> lines;
};
const fourfold::register_exception<failure_of_a_user> failure_travels;

using namespace fourfold;
using namespace fourfold::detail;

constexpr std::size_t capacity = 4096;

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

// On the heap and of exactly the ring's size, so that the address sanitizer sees the first byte beyond it.
struct shared_memory {
  std::unique_ptr<std::uint64_t[]> words =
      std::make_unique<std::uint64_t[]>(capacity / sizeof(std::uint64_t));
  ring_counters counters;

  [[nodiscard]] std::span<std::byte> bytes() const {
    return std::as_writable_bytes(std::span(words.get(), capacity / sizeof(std::uint64_t)));
  }
  // The peer writes some bytes somewhere.
  void scribble(input_reader& input) const {
    const std::size_t place = input.take<std::uint16_t>() % capacity;
    const auto some = input.take_bytes(std::min<std::size_t>(input.take<std::uint8_t>(), capacity - place));
    if (!some.empty())
      std::memcpy(bytes().data() + place, some.data(), some.size());
  }
};

// Near the other side's position, where a counter is believed, or anywhere.
std::uint64_t counter_near(std::uint64_t position, input_reader& input) {
  const auto how = input.take<std::uint8_t>();
  if (how % 4 == 0)
    return input.take<std::uint64_t>();
  const std::uint64_t distance = input.take<std::uint16_t>();
  return how % 4 == 1 ? position - distance : position + distance;
}

void read_hostile_ring(input_reader input) {
  shared_memory memory;
  const auto content = input.take_bytes(input.take<std::uint16_t>() % (capacity + 1));
  if (!content.empty())
    std::memcpy(memory.bytes().data(), content.data(), content.size());
  ring_reader reader(memory.counters, memory.bytes());
  message_header header;
  byte_buffer payload;
  do {
    const std::uint64_t before = memory.counters.read;
    memory.counters.written = counter_near(before, input);
    memory.scribble(input);
    memory.counters.read = before;
    static_cast<void>(reader.empty());
    if (reader.read(header, payload)) {
      require(payload.size() == header.size && payload.size() < capacity);
      // Every byte of it is there.
      const std::vector<std::byte> copy(payload.begin(), payload.end());
      require(std::ranges::equal(copy, payload));
    }
    const std::uint64_t advanced = memory.counters.read - before;
    require(advanced % 8 == 0 && advanced <= memory.counters.written - before);
  } while (!input.empty());
}

void write_to_hostile_ring(input_reader input) {
  shared_memory memory;
  ring_writer writer(memory.counters, memory.bytes());
  std::vector<std::uint64_t> positions{0};
  const std::vector<std::byte> payload(2 * capacity);
  do {
    memory.counters.read = counter_near(writer.position(), input);
    memory.scribble(input);
    const std::size_t size = input.take<std::uint16_t>() % payload.size();
    const std::uint64_t before = writer.position();
    const message_header header{
        .size = static_cast<std::uint32_t>(size), .kind = 1, .number = positions.size(), .duration = 0};
    if (writer.write(header, std::span(payload).first(size))) {
      require(writer.position() - before <= capacity);
      positions.push_back(before);
    } else {
      require(writer.position() == before);
    }
    memory.counters.read = counter_near(writer.position(), input);
    const std::uint64_t position = positions[input.take<std::uint8_t>() % positions.size()];
    const bool taken = writer.was_taken(position);
    const bool revoked = writer.revoke(position);
    require(!taken || !revoked);
  } while (!input.empty());
}

void decode_hostile_exception(std::span<const std::byte> bytes) {
  decoder in(bytes);
  const std::exception_ptr exception = decode_exception(in);
  require(exception != nullptr);
  // What came once can travel again, and is the same then.
  byte_buffer first;
  encoder first_out(first);
  encode_exception(first_out, exception);
  byte_buffer second;
  encoder second_out(second);
  decoder again(first.bytes());
  encode_exception(second_out, decode_exception(again));
  require(std::ranges::equal(first, second));
}

} // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const std::span<const std::byte> input = std::as_bytes(std::span{data + 1, size - 1});
  try {
    switch (data[0] % 3) {
    case 0: read_hostile_ring(input_reader(input)); break;
    case 1: write_to_hostile_ring(input_reader(input)); break;
    default: decode_hostile_exception(input); break;
    }
  } catch (const decode_error&) { // NOLINT(bugprone-empty-catch): ring_corrupted is one, too; most inputs are
                                  // refused, as they should
  }
  return 0;
}
