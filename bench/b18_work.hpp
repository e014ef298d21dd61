// The work of the examples X01 to X04, written as the Python peers write it (bench/peers/work.py).
#pragma once

#include <chrono>
#include <cstdint>
#include <thread>

namespace work {

// X01 needs 75 bits.
__extension__ using wide = unsigned __int128;

inline wide sum_of_squares(std::uint64_t first, std::uint64_t end) {
  wide sum = 0;
  for (std::uint64_t i = first; i < end; ++i) {
    std::uint64_t value = i;
    asm("" : "+r"(value)); // some compilers know the closed form, and would leave nothing to measure
    sum += static_cast<wide>(value) * value;
  }
  return sum;
}

inline wide count_primes(std::uint64_t limit, std::uint64_t /*unused*/) {
  std::uint64_t count = 0;
  for (std::uint64_t n = 2; n <= limit; ++n) {
    bool prime = true;
    for (std::uint64_t divisor = 2; divisor * divisor <= n && prime; ++divisor)
      prime = n % divisor != 0;
    if (prime)
      ++count;
  }
  return count;
}

constexpr std::chrono::milliseconds wait{100};

inline int fetch() {
  std::this_thread::sleep_for(wait);
  return 1;
}

} // namespace work
