#include <fourfold/base/codec.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <utility>

namespace fourfold {
namespace {

/// The read end of a pipe whose write end tells whether the other is open.
struct watched_pipe {
  watched_pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
    read = std::make_shared<const attachment>(unique_fd(ends[0]));
    write = unique_fd(ends[1]);
  }
  std::shared_ptr<const attachment> read;
  unique_fd write;
};

struct end_of_pipe {
  std::shared_ptr<const attachment> fd;
};

} // namespace

template <>
struct codec<end_of_pipe> {
  static void encode(encoder& out, const end_of_pipe& value) { out.attach(value.fd); }
  static end_of_pipe decode(decoder& in) { return {in.next_attachment()}; }
};

namespace {

TEST(attachment, is_taken_once_in_the_order_of_writing) {
  watched_pipe one;
  watched_pipe two;
  byte_buffer bytes = encode(end_of_pipe{one.read}, 5, end_of_pipe{two.read});
  EXPECT_TRUE(bytes.has_attachments());
  decoder in(bytes.bytes(), bytes.attachments());
  EXPECT_EQ(in.read<end_of_pipe>().fd, one.read);
  EXPECT_EQ(in.read<int>(), 5);
  EXPECT_EQ(in.read<end_of_pipe>().fd, two.read);
  EXPECT_THROW(static_cast<void>(in.next_attachment()), decode_error);
  decoder again(bytes.bytes(), bytes.attachments());
  EXPECT_THROW(static_cast<void>(again.read<end_of_pipe>()), decode_error);
}

TEST(attachment, that_is_missing_is_an_error) {
  const watched_pipe pipe;
  const byte_buffer bytes = encode(end_of_pipe{pipe.read});
  EXPECT_THROW(static_cast<void>(decode<end_of_pipe>(bytes.bytes())), decode_error);
}

TEST(attachment, lives_as_long_as_the_bytes_and_moves_with_them) {
  watched_pipe pipe;
  const std::weak_ptr<const attachment> watch = pipe.read;
  byte_buffer bytes = encode(end_of_pipe{std::move(pipe.read)});
  byte_buffer moved = std::move(bytes);
  EXPECT_FALSE(bytes.has_attachments()); // NOLINT(bugprone-use-after-move): it has none any more
  EXPECT_FALSE(watch.expired());
  {
    const attachment_list taken = moved.take_attachments();
    EXPECT_EQ(taken.size(), 1U);
    EXPECT_FALSE(moved.has_attachments());
    EXPECT_FALSE(watch.expired());
    moved.attach(taken[0]);
  }
  moved.clear();
  EXPECT_TRUE(watch.expired());
}

} // namespace
} // namespace fourfold
