// How much of the CPUs that this program may use went to somebody else: figures from a busy machine mean
// less, and the reader should know.
#pragma once

#include <chrono>

namespace fourfold::tool {

class machine_load {
 public:
  machine_load() { restart(); }
  void restart();
  // CPUs in use since the start, by whomever, among those that this process may use.
  double cpus_in_use() const;
  double seconds() const;

 private:
  double busy_at_start_ = 0;
  std::chrono::steady_clock::time_point start_;
};

} // namespace fourfold::tool
