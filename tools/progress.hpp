// One line on standard error, rewritten in place, that says what runs and how much time is left. Shown on a
// terminal only; elsewhere every call does nothing.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

namespace fourfold::tool {

class progress {
 public:
  progress();
  ~progress() { clear(); }
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  // `left`: seconds from now until everything is done, as far as known.
  void show(std::string doing, double left);
  // Counts the time down; called often, paints at most five times a second. From any thread.
  void tick();
  // Empties the line, so that something else can be printed. The next show() brings it back.
  void clear();

 private:
  void paint();

  const bool shown_;
  std::mutex mutex_;
  std::string doing_;
  std::chrono::steady_clock::time_point end_;
  std::chrono::steady_clock::time_point painted_;
  bool on_screen_ = false;
};

} // namespace fourfold::tool
