// Figures as people read them. All functions return plain text without colour.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace fourfold::tool {

std::string seconds_text(double seconds);              // "9.21 s", "81.4 ms", "640 µs"
std::string wait_text(std::chrono::microseconds wait); // exact: "5 ms", "1.5 s"
std::string bytes_text(std::uint64_t bytes);           // "812 kB", "14.2 MB" (powers of ten)
std::string count_text(std::uint64_t count);           // "12 345"
std::string times_text(double factor);                 // "1.97×"; "–" for zero
std::string cpus_text(double used);                    // "1.96"
std::string percent_text(double share);                // "4 %", "under 1 %"
std::string time_left_text(double seconds);            // "1 min 20 s"

// Columns a terminal uses for UTF-8 text; every character this program prints is one column wide.
std::size_t width_of(std::string_view text);

// Breaks at spaces so that no line is wider than `width`; lines after the first begin with `indent`.
std::string wrapped(std::string_view text, std::size_t width, std::string_view indent);

} // namespace fourfold::tool
