#pragma once

#include <fourfold/base/unique_fd.hpp>

#include <memory>
#include <utility>
#include <vector>

namespace fourfold {

/// A file descriptor that travels beside the bytes of an encoded value, for what bytes cannot carry: shared
/// memory, an end of a pipe. Whoever holds the bytes holds the attachments, so what they stand for lives as
/// long as the message does.
class attachment {
 public:
  explicit attachment(unique_fd fd) noexcept : fd_(std::move(fd)) {}
  attachment(const attachment&) = delete;
  attachment& operator=(const attachment&) = delete;
  virtual ~attachment() = default;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// Whether `received` is the same memory, so that this object, with what it has mapped already, can stand
  /// for it.
  [[nodiscard]] virtual bool stands_for([[maybe_unused]] int received) const noexcept { return false; }

 private:
  unique_fd fd_;
};

using attachment_list = std::vector<std::shared_ptr<const attachment>>;

} // namespace fourfold
