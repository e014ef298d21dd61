#pragma once

#include <cstddef>
#include <cstdint>

namespace fourfold {

/// How urgent a call is among those that wait in a pool's queue: whenever a worker is free, it gets the most
/// urgent one, and of equally urgent ones the first that came. What runs is not interrupted. Calls of a lower
/// priority wait for as long as there are others.
enum class priority : std::uint8_t { high, normal, low };

inline constexpr std::size_t priority_levels = 3;

} // namespace fourfold
