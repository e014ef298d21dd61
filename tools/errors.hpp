// The two ways a command of this program fails.
#pragma once

#include <stdexcept>

namespace fourfold::tool {

// What was asked for cannot be done: one line on standard error, exit status 2.
struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

constexpr int exit_ok = 0;
constexpr int exit_different = 1;     // a model failed, or its result differs
constexpr int exit_unusable = 2;      // usage_error
constexpr int exit_interrupted = 130; // as shells report SIGINT

} // namespace fourfold::tool
