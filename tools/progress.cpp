#include "progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "terminal.hpp"
#include "text.hpp"

namespace fourfold::tool {

using namespace std::chrono_literals;

progress::progress() : shown_(is_terminal(STDERR_FILENO)) {}

void progress::show(std::string doing, double left) {
  if (!shown_)
    return;
  const std::lock_guard lock(mutex_);
  doing_ = std::move(doing);
  end_ = std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(left));
  paint();
}

void progress::tick() {
  if (!shown_)
    return;
  const std::lock_guard lock(mutex_);
  if (!doing_.empty() && std::chrono::steady_clock::now() - painted_ >= 200ms)
    paint();
}

void progress::clear() {
  if (!shown_)
    return;
  const std::lock_guard lock(mutex_);
  doing_.clear();
  if (std::exchange(on_screen_, false))
    write_all(STDERR_FILENO, "\r\033[K");
}

void progress::paint() {
  painted_ = std::chrono::steady_clock::now();
  const double left = std::chrono::duration<double>(end_ - painted_).count();
  std::string line = doing_ + " · " + (left > 0 ? "about " + time_left_text(left) + " left" : "almost done");
  const std::size_t columns = columns_of(STDERR_FILENO);
  // A line that wraps could not be rewritten in place.
  while (width_of(line) >= columns)
    line.pop_back();
  write_all(STDERR_FILENO, fmt::format("\r{}\033[K", palette{shows_colour(STDERR_FILENO)}.cyan(line)));
  on_screen_ = true;
}

} // namespace fourfold::tool
