#pragma once

#include <fourfold/base/unique_fd.hpp>
#include <fourfold/process/detail/carried_call.hpp>
#include <fourfold/process/sandbox_options.hpp>

#include <optional>

namespace fourfold::detail {

/// What a started process is told beside its request, in a sealed memory file, for its size is not bounded.
struct process_setup {
  carried_call call; ///< a pool's worker: its initialiser; a process: what it is for
  std::optional<sandbox_options> sandbox;
};

[[nodiscard]] unique_fd encode_setup(const process_setup& setup);
[[nodiscard]] process_setup decode_setup(int fd);

} // namespace fourfold::detail
