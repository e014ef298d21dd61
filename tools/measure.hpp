// Measures one run of a model: wall time, CPU time and context switches of this process and its workers, and
// the peak of their memory together, sampled every 20 ms.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "process_tree.hpp"
#include "results.hpp"

namespace fourfold::tool {

class meter {
 public:
  static constexpr std::chrono::milliseconds sampling_interval{20};

  // `every_sample` is called on the sampling thread during a run (for the progress line); what it costs is
  // not counted.
  explicit meter(std::function<void()> every_sample = {});
  ~meter();
  meter(const meter&) = delete;
  meter& operator=(const meter&) = delete;

  // A process that belongs to the surroundings and not to any model, such as the page server.
  void exclude(pid_t process);

  // Throws what `model` throws.
  run_figures measure(const std::function<std::string()>& model);

  // Called by a model just before it lets its worker processes go: afterwards nobody can read what they used.
  // The time this takes does not count as the model's. A no-op outside measure().
  static void before_workers_end();

 private:
  void sample();
  void sampling();

  std::function<void()> every_sample_;
  std::mutex mutex_;
  std::condition_variable changed_;
  tree_watch tree_;
  bool running_ = false;
  bool closing_ = false;
  std::chrono::steady_clock::duration not_counted_{};
  std::thread sampler_;
  clockid_t sampler_clock_{};
  std::uint64_t sampler_switches_ = 0;
};

} // namespace fourfold::tool
