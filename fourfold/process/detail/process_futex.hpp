#pragma once

#include <fourfold/base/clock.hpp>

#include <atomic>
#include <cstdint>

namespace fourfold::detail {

/// base/futex.hpp for words that processes share; a little slower, since the kernel asks which page it is.
bool wait_across_processes(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                           clock::time_point deadline) noexcept;
void wake_one_process(const std::atomic<std::uint32_t>& word) noexcept;
void wake_all_processes(const std::atomic<std::uint32_t>& word) noexcept;

} // namespace fourfold::detail
