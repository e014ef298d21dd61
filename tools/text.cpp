#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace fourfold::tool {
namespace {

// Three significant digits, never in exponent form.
std::string three_digits(double value) {
  if (value >= 99.95)
    return fmt::format("{:.0f}", value);
  if (value >= 9.995)
    return fmt::format("{:.1f}", value);
  return fmt::format("{:.2f}", value);
}

} // namespace

std::string seconds_text(double seconds) {
  if (seconds >= 0.9995)
    return three_digits(seconds) + " s";
  if (seconds >= 0.9995e-3)
    return three_digits(seconds * 1e3) + " ms";
  return three_digits(seconds * 1e6) + " µs";
}

std::string wait_text(std::chrono::microseconds wait) {
  const auto count = static_cast<double>(wait.count());
  if (wait.count() >= 1'000'000)
    return fmt::format("{} s", count / 1e6);
  if (wait.count() >= 1000)
    return fmt::format("{} ms", count / 1e3);
  return fmt::format("{} µs", wait.count());
}

std::string bytes_text(std::uint64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (value >= 999.5e6)
    return three_digits(value * 1e-9) + " GB";
  if (value >= 999.5e3)
    return three_digits(value * 1e-6) + " MB";
  if (value >= 1000)
    return three_digits(value * 1e-3) + " kB";
  return fmt::format("{} B", bytes);
}

std::string count_text(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ' ');
  }
  return digits;
}

std::string times_text(double factor) {
  if (factor <= 0)
    return "–";
  return (factor >= 99.95   ? fmt::format("{:.0f}", factor)
          : factor >= 9.995 ? fmt::format("{:.1f}", factor)
                            : fmt::format("{:.2f}", factor)) +
         "×";
}

std::string cpus_text(double used) { return fmt::format("{:.2f}", used); }

std::string percent_text(double share) {
  const double percent = share * 100;
  return percent < 1 ? "under 1 %" : fmt::format("{:.0f} %", percent);
}

std::string time_left_text(double seconds) {
  const auto whole = static_cast<long>(std::ceil(std::max(0.0, seconds)));
  if (whole < 60)
    return fmt::format("{} s", whole);
  return fmt::format("{} min {} s", whole / 60, whole % 60);
}

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; // continuation bytes take no column
  }));
}

std::string wrapped(std::string_view text, std::size_t width, std::string_view indent) {
  std::string lines;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
    if (column > 0 && column + 1 + width_of(word) > width) {
      lines += '\n';
      lines += indent;
      column = width_of(indent);
    } else if (column > 0) {
      lines += ' ';
      ++column;
    }
    lines += word;
    column += width_of(word);
  }
  return lines;
}

} // namespace fourfold::tool
