#include "terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace fourfold::tool {

bool is_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

bool shows_colour(int descriptor) {
  const char* const no_colour = std::getenv("NO_COLOR");
  if (no_colour != nullptr && *no_colour != '\0')
    return false;
  const char* const kind = std::getenv("TERM");
  if (kind != nullptr && std::string_view(kind) == "dumb")
    return false;
  return is_terminal(descriptor);
}

std::size_t columns_of(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
    return size.ws_col;
  return 100;
}

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR)
        continue;
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string palette::styled(std::string_view code, std::string_view text) const {
  if (!on)
    return std::string(text);
  std::string styled_text = "\033[";
  styled_text += code;
  styled_text += 'm';
  styled_text += text;
  styled_text += "\033[0m";
  return styled_text;
}

} // namespace fourfold::tool
