// What an output stream can show.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fourfold::tool {

bool is_terminal(int descriptor);
// True on a terminal, unless NO_COLOR is set (https://no-color.org) or TERM is "dumb".
bool shows_colour(int descriptor);
// Columns of the terminal; 100 where it is none.
std::size_t columns_of(int descriptor);

// Writes everything, through interruptions and short writes. False when the reader is gone or the disk is
// full, with errno saying which.
bool write_all(int descriptor, std::string_view text);

// Styles as the terminal's own palette has them, so that they suit light and dark. With `on` false: plain
// text.
struct palette {
  bool on = false;
  std::string bold(std::string_view text) const { return styled("1", text); }
  std::string dim(std::string_view text) const { return styled("2", text); }
  std::string green(std::string_view text) const { return styled("1;32", text); }
  std::string red(std::string_view text) const { return styled("1;31", text); }
  std::string cyan(std::string_view text) const { return styled("36", text); }

 private:
  std::string styled(std::string_view code, std::string_view text) const;
};

} // namespace fourfold::tool
