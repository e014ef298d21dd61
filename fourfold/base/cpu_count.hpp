#pragma once

#include <optional>
#include <string_view>

namespace fourfold {

/// How many CPUs this thread may really use: what its affinity mask allows, and no more than the CPU quota
/// (rounded up) of this process's control group and of the groups above it, version 2 and version 1. At
/// least 1.
///
/// Asked afresh on every call (a few system calls): a program that needs it often keeps the answer.
/// What cannot be read counts as no limit. Threads: any; it does not throw.
[[nodiscard]] unsigned cpu_count() noexcept;

namespace detail {

/// CPUs that a cgroup v2 `cpu.max` ("150000 100000", "max 100000") grants; nullopt when it sets no limit or
/// makes no sense. The period may be missing: it is 100000 µs then, as the kernel documents.
[[nodiscard]] std::optional<unsigned> cpus_of_cpu_max(std::string_view text) noexcept;
/// The same for version 1: `cpu.cfs_quota_us` (-1: no limit) and `cpu.cfs_period_us`.
[[nodiscard]] std::optional<unsigned> cpus_of_cfs_quota(std::string_view quota,
                                                        std::string_view period) noexcept;

} // namespace detail
} // namespace fourfold
