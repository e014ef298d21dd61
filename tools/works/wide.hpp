// Integers of 128 bits: sums of squares leave 64 bits behind.
#pragma once

#include <string>

namespace fourfold::tool {

__extension__ using wide = unsigned __int128;

inline std::string decimal(wide value) {
  std::string digits;
  do {
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
    value /= 10;
  } while (value != 0);
  return digits;
}

} // namespace fourfold::tool
