#include <fourfold/base/futex.hpp>
#include <fourfold/process/detail/exception_codec.hpp>
#include <fourfold/process/detail/ring.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <random>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace fourfold::detail {
namespace {

constexpr std::size_t message_overhead = sizeof(std::uint64_t) + sizeof(message_header);

// Both ends of a ring over memory of this process, whose end a sanitizer guards.
struct whole_ring {
  explicit whole_ring(std::size_t capacity = 4096) : words(capacity / sizeof(std::uint64_t)) {}

  [[nodiscard]] std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(words)); }
  // What stands in the first message, for writing nonsense into it.
  [[nodiscard]] std::uint32_t& claim_word() { return *reinterpret_cast<std::uint32_t*>(words.data()); }
  [[nodiscard]] message_header& first_header() { return *reinterpret_cast<message_header*>(&words[1]); }

  std::vector<std::uint64_t> words;
  ring_counters counters;
  ring_writer writer{counters, bytes()};
  ring_reader reader{counters, bytes()};
};

std::vector<std::byte> payload_of(std::uint64_t number, std::size_t size) {
  std::vector<std::byte> payload(size);
  for (std::size_t i = 0; i < size; ++i)
    payload[i] = static_cast<std::byte>(number * 31 + i * 7);
  return payload;
}

message_header header_of(std::uint64_t number, std::size_t size) {
  return {.size = static_cast<std::uint32_t>(size),
          .kind = static_cast<std::uint32_t>(number % 5),
          .number = number,
          .duration = ~number};
}

bool write(ring_writer& writer, std::uint64_t number, std::size_t size) {
  return writer.write(header_of(number, size), payload_of(number, size));
}

void expect_message(const message_header& header, const byte_buffer& payload, std::uint64_t number,
                    std::size_t size) {
  const message_header expected = header_of(number, size);
  ASSERT_EQ(header.number, expected.number);
  ASSERT_EQ(header.size, expected.size);
  ASSERT_EQ(header.kind, expected.kind);
  ASSERT_EQ(header.duration, expected.duration);
  ASSERT_TRUE(std::ranges::equal(payload.bytes(), payload_of(number, size))) << "message " << number;
}

TEST(ring, messages_of_every_size_come_out_whole_and_in_order_through_many_wrap_arounds) {
  whole_ring ring;
  message_header header;
  byte_buffer payload;
  const std::size_t sizes = ring.writer.largest_payload() + 1;
  ASSERT_GT(sizes, 1U);
  // 17 and the number of sizes have no common divisor, so every size comes, at ever other positions.
  const auto size_of = [sizes](std::uint64_t number) {
    return static_cast<std::size_t>(number * 17) % sizes;
  };
  std::uint64_t written = 0;
  std::uint64_t read = 0;
  while (read < 4 * sizes) {
    while (write(ring.writer, written, size_of(written)))
      ++written;
    ASSERT_LT(read, written);
    // Not all of them, so that reading and writing meet at every place of the ring.
    const std::uint64_t some = std::max<std::uint64_t>(1, (written - read) / 2);
    for (std::uint64_t i = 0; i < some; ++i, ++read) {
      ASSERT_FALSE(ring.reader.empty());
      ASSERT_TRUE(ring.reader.read(header, payload));
      expect_message(header, payload, read, size_of(read));
    }
  }
}

TEST(ring, messages_come_out_in_order_while_another_thread_writes_them) {
  whole_ring ring;
  constexpr std::uint64_t messages = 20'000;
  const auto size_of = [](std::uint64_t number) { return static_cast<std::size_t>(number * number % 251); };
  std::jthread writing([&](const std::stop_token& reader_gone) {
    for (std::uint64_t number = 0; number < messages; ++number) {
      while (!write(ring.writer, number, size_of(number)) && !reader_gone.stop_requested())
        std::this_thread::yield();
    }
  });
  message_header header;
  byte_buffer payload;
  for (std::uint64_t number = 0; number < messages; ++number) {
    while (!ring.reader.read(header, payload))
      std::this_thread::yield();
    ASSERT_NO_FATAL_FAILURE(expect_message(header, payload, number, size_of(number)));
  }
  EXPECT_TRUE(ring.reader.empty());
}

TEST(ring, an_empty_ring_gives_nothing) {
  whole_ring ring;
  message_header header;
  byte_buffer payload;
  EXPECT_TRUE(ring.reader.empty());
  EXPECT_FALSE(ring.reader.read(header, payload));
  ASSERT_TRUE(write(ring.writer, 1, 0));
  EXPECT_FALSE(ring.reader.empty());
  EXPECT_TRUE(ring.reader.read(header, payload));
  EXPECT_TRUE(payload.empty());
  EXPECT_FALSE(ring.reader.read(header, payload));
}

TEST(ring, a_full_ring_refuses_and_takes_the_same_message_once_there_is_room) {
  whole_ring ring;
  const std::size_t largest = ring.writer.largest_payload();
  std::uint64_t held = 0;
  while (write(ring.writer, held, largest))
    ++held;
  ASSERT_EQ(held, 3U);
  const std::uint64_t position = ring.writer.position();
  EXPECT_FALSE(write(ring.writer, held, largest));
  EXPECT_EQ(ring.writer.position(), position) << "a refused message leaves no trace";

  message_header header;
  byte_buffer payload;
  for (std::uint64_t number = 0; number <= held; ++number) {
    ASSERT_TRUE(ring.reader.read(header, payload));
    expect_message(header, payload, number, largest);
    if (number == 0) {
      ASSERT_TRUE(write(ring.writer, held, largest));
    }
  }
}

TEST(ring, a_message_may_fill_it_to_the_last_byte) {
  whole_ring ring;
  const std::size_t all = ring.words.size() * sizeof(std::uint64_t) - message_overhead;
  message_header header;
  byte_buffer payload;
  // The second one stands across the end of the ring.
  for (const std::size_t before : {std::size_t{0}, std::size_t{104}}) {
    ASSERT_TRUE(write(ring.writer, 1, before));
    ASSERT_TRUE(ring.reader.read(header, payload));
    ASSERT_FALSE(write(ring.writer, 2, all + 1));
    ASSERT_TRUE(write(ring.writer, 2, all));
    EXPECT_FALSE(write(ring.writer, 3, 0));
    ASSERT_TRUE(ring.reader.read(header, payload));
    expect_message(header, payload, 2, all);
  }
}

TEST(ring, a_revoked_message_is_skipped_and_a_read_one_cannot_be_revoked) {
  whole_ring ring;
  std::vector<std::uint64_t> positions;
  for (std::uint64_t number = 0; number < 4; ++number) {
    positions.push_back(ring.writer.position());
    ASSERT_TRUE(write(ring.writer, number, 100));
  }
  EXPECT_FALSE(ring.writer.was_taken(positions[0]));
  EXPECT_TRUE(ring.writer.revoke(positions[0]));
  EXPECT_FALSE(ring.writer.was_taken(positions[0]));
  EXPECT_FALSE(ring.writer.revoke(positions[0])) << "it is revoked once only";
  EXPECT_TRUE(ring.writer.revoke(positions[2]));

  message_header header;
  byte_buffer payload;
  ASSERT_TRUE(ring.reader.read(header, payload));
  expect_message(header, payload, 1, 100);
  EXPECT_TRUE(ring.writer.was_taken(positions[1]));
  EXPECT_FALSE(ring.writer.revoke(positions[1]));
  EXPECT_FALSE(ring.writer.was_taken(positions[3]));
  ASSERT_TRUE(ring.reader.read(header, payload));
  expect_message(header, payload, 3, 100);
  EXPECT_TRUE(ring.writer.was_taken(positions[3]));
  EXPECT_FALSE(ring.reader.read(header, payload));
}

TEST(ring, only_revoked_messages_are_nothing_to_read_and_give_their_room_back) {
  whole_ring ring;
  message_header header;
  byte_buffer payload;
  for (std::uint64_t number = 0; number < 100; ++number) {
    const std::uint64_t position = ring.writer.position();
    ASSERT_TRUE(write(ring.writer, number, 1000)) << number;
    ASSERT_TRUE(ring.writer.revoke(position));
    ASSERT_FALSE(ring.reader.read(header, payload));
    ASSERT_TRUE(ring.reader.empty());
  }
}

TEST(ring, a_revoked_message_is_garbage_where_nobody_takes_any_back) {
  whole_ring ring;
  message_header header;
  byte_buffer payload;
  const std::uint64_t position = ring.writer.position();
  ASSERT_TRUE(write(ring.writer, 0, 10));
  ASSERT_TRUE(ring.writer.revoke(position));
  EXPECT_THROW(static_cast<void>(ring.reader.read(header, payload, ring_reader::revoked::is_corrupt)),
               ring_corrupted);
}

TEST(ring, a_position_whose_room_holds_a_later_message_still_counts_as_taken) {
  whole_ring ring;
  message_header header;
  byte_buffer payload;
  const std::uint64_t first = ring.writer.position();
  ASSERT_TRUE(write(ring.writer, 0, 1024 - message_overhead));
  ASSERT_TRUE(ring.reader.read(header, payload));
  while (ring.writer.position() < first + 4096) {
    ASSERT_TRUE(write(ring.writer, 1, 0));
    ASSERT_TRUE(ring.reader.read(header, payload));
  }
  ASSERT_EQ(ring.writer.position(), first + 4096) << "the next message stands where the first one did";
  ASSERT_TRUE(write(ring.writer, 2, 0));
  EXPECT_TRUE(ring.writer.was_taken(first));
  EXPECT_FALSE(ring.writer.revoke(first));
  ASSERT_TRUE(ring.reader.read(header, payload)) << "the later message was not revoked";
  EXPECT_EQ(header.number, 2U);
}

TEST(ring, each_message_is_either_read_or_revoked_while_reader_and_writer_race_for_it) {
  whole_ring ring;
  constexpr std::uint64_t messages = 50'000;
  const auto size_of = [](std::uint64_t number) { return static_cast<std::size_t>(number % 67); };
  std::vector<char> read(messages);
  std::vector<char> revoked(messages);
  std::atomic<bool> all_written{false};
  std::atomic<bool> reader_gone{false};
  const auto read_all = [&] {
    message_header header;
    byte_buffer payload;
    unsigned looks = 0;
    std::uint64_t next = 0;
    for (;;) {
      const bool last_look = all_written;
      if (ring.reader.read(header, payload)) {
        ASSERT_GE(header.number, next) << "out of order, or twice";
        ASSERT_LT(header.number, messages);
        ASSERT_NO_FATAL_FAILURE(expect_message(header, payload, header.number, size_of(header.number)));
        read[header.number] = 1;
        next = header.number + 1;
      } else if (last_look) {
        return;
      } else if (++looks % 256 == 0) {
        std::this_thread::yield(); // the writer may need this CPU
      } else {
        pause();
      }
    }
  };
  std::jthread reading([&] {
    read_all();
    reader_gone = true;
  });

  std::minstd_rand random(42);
  std::vector<std::uint64_t> positions(messages);
  for (std::uint64_t number = 0; number < messages; ++number) {
    positions[number] = ring.writer.position();
    while (!write(ring.writer, number, size_of(number))) {
      ASSERT_FALSE(reader_gone) << "it has given up";
      std::this_thread::yield();
    }
    // Mostly the latest, a moment before, while or after the reader claims it; sometimes one that it has long
    // passed.
    const std::uint64_t back = random() % 8 == 0 ? random() % 64 : random() % 2;
    for (auto moment = random() % 128; moment > 0; --moment)
      pause();
    const std::uint64_t victim = number - std::min(number, back);
    if (revoked[victim] != 0)
      continue;
    if (ring.writer.revoke(positions[victim])) {
      revoked[victim] = 1;
    } else {
      EXPECT_TRUE(ring.writer.was_taken(positions[victim])) << "neither revoked nor taken: " << victim;
    }
  }
  all_written = true;
  reading.join();

  std::uint64_t count_read = 0;
  for (std::uint64_t number = 0; number < messages; ++number) {
    ASSERT_EQ(read[number] + revoked[number], 1) << "message " << number;
    count_read += static_cast<std::uint64_t>(read[number]);
  }
  EXPECT_GT(count_read, 0U);
  EXPECT_LT(count_read, messages);
}

TEST(ring, a_reader_refuses_an_impossible_write_position) {
  message_header header;
  byte_buffer payload;
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  // Shorter than any message; more than the ring holds; before the start; far away.
  for (const std::uint64_t written :
       {std::uint64_t{1}, std::uint64_t{8}, std::uint64_t{message_overhead - 1}, std::uint64_t{4097},
        std::uint64_t{1} << 40, std::uint64_t{1} << 63, most, most - 7}) {
    whole_ring ring;
    ring.counters.written = written;
    EXPECT_FALSE(ring.reader.empty());
    EXPECT_THROW(static_cast<void>(ring.reader.read(header, payload)), ring_corrupted) << written;
  }
}

TEST(ring, a_reader_refuses_a_write_position_that_goes_back) {
  whole_ring ring;
  message_header header;
  byte_buffer payload;
  ASSERT_TRUE(write(ring.writer, 0, 100));
  ASSERT_TRUE(ring.reader.read(header, payload));
  ring.counters.written = 0;
  EXPECT_THROW(static_cast<void>(ring.reader.read(header, payload)), ring_corrupted);
}

TEST(ring, a_reader_refuses_a_size_beyond_what_was_written) {
  message_header header;
  byte_buffer payload;
  for (const std::uint32_t size : {101U + 7U, 4096U, 1U << 31, std::numeric_limits<std::uint32_t>::max(),
                                   std::numeric_limits<std::uint32_t>::max() - 7}) {
    for (const bool also_revoked : {false, true}) {
      whole_ring ring;
      ASSERT_TRUE(write(ring.writer, 0, 100));
      ring.first_header().size = size;
      if (also_revoked) {
        ASSERT_TRUE(ring.writer.revoke(0));
      }
      EXPECT_THROW(static_cast<void>(ring.reader.read(header, payload)), ring_corrupted) << size;
    }
  }
}

TEST(ring, a_reader_skips_a_message_with_an_unknown_claim) {
  whole_ring ring;
  message_header header;
  byte_buffer payload;
  ASSERT_TRUE(write(ring.writer, 0, 100));
  ASSERT_TRUE(write(ring.writer, 1, 50));
  ring.claim_word() = 0xdead;
  ASSERT_TRUE(ring.reader.read(header, payload));
  expect_message(header, payload, 1, 50);
}

TEST(ring, a_writer_refuses_an_impossible_read_position_and_takes_everything_for_taken) {
  // Ahead of what was written; a whole ring behind it.
  for (const std::uint64_t read :
       {std::uint64_t{10'000}, std::uint64_t{1} << 40, std::uint64_t{1} << 63, std::uint64_t{0} - 4096}) {
    whole_ring ring;
    ASSERT_TRUE(write(ring.writer, 0, 100));
    ring.counters.read = read;
    EXPECT_THROW(static_cast<void>(write(ring.writer, 1, 100)), ring_corrupted) << read;
    EXPECT_TRUE(ring.writer.was_taken(0)) << read;
    EXPECT_FALSE(ring.writer.revoke(0)) << read;
  }
}

TEST(ring, a_writer_takes_an_unknown_claim_for_taken) {
  whole_ring ring;
  ASSERT_TRUE(write(ring.writer, 0, 100));
  ring.claim_word() = 0xdead;
  EXPECT_TRUE(ring.writer.was_taken(0));
  EXPECT_FALSE(ring.writer.revoke(0));
}

// What a worker's exception says when it has come through the ring.
std::string text_after_travel(const std::exception_ptr& exception) {
  byte_buffer bytes;
  encoder out(bytes);
  encode_exception(out, exception);
  decoder in(bytes.bytes());
  try {
    std::rethrow_exception(decode_exception(in));
  } catch (const std::exception& e) {
    return e.what();
  }
}

TEST(exception_codec, the_text_of_an_exception_travels_unchanged) {
  EXPECT_EQ(text_after_travel(std::make_exception_ptr(std::out_of_range("too far"))), "too far");
  const std::system_error with_text(EIO, std::generic_category(), "reading");
  EXPECT_EQ(text_after_travel(std::make_exception_ptr(with_text)), with_text.what());
}

TEST(exception_codec, the_text_of_a_system_error_without_a_text_of_its_own_travels_unchanged) {
  const std::system_error of_code_only(std::make_error_code(std::errc::io_error));
  EXPECT_EQ(text_after_travel(std::make_exception_ptr(of_code_only)), of_code_only.what());
  const std::system_error empty_text(EIO, std::system_category(), "");
  EXPECT_EQ(text_after_travel(std::make_exception_ptr(empty_text)), empty_text.what());
}

} // namespace
} // namespace fourfold::detail
