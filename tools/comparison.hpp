// Runs works within a time budget and collects what was measured.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "measure.hpp"
#include "progress.hpp"
#include "results_json.hpp"
#include "work.hpp"

namespace fourfold::tool {

struct comparison_options {
  // Runs of each model. Without it: 3, and up to 9 where a round of runs is short; 1 where a round takes very
  // long.
  std::optional<unsigned> repeat;
  // For everything together.
  std::optional<double> seconds;
};

class comparison {
 public:
  comparison(comparison_options options, settings chosen, comparison_results frame);

  // A process that is not part of any model.
  void exclude(pid_t process) {
    excluded_.push_back(process);
    meter_.exclude(process);
  }

  // Measures all parts in order. `finished` is called after each with its results and the lines of
  // check_results().
  void run(const std::vector<work>& works,
           const std::function<void(const part_result&, const std::vector<std::string>&)>& finished);

  // What was measured so far, from any thread. The part in progress is the last one, if it has anything to
  // show.
  comparison_results so_far();

  progress& line() { return progress_; }

 private:
  using clock = std::chrono::steady_clock;

  double seconds_left() const;
  void measure_part(const work& one, const part_plan& plan, double later_seconds);
  void run_rounds(const part& job, double round_seconds, double budget, double later_seconds);
  void run_model(const model& chosen, std::size_t index);
  bool enough_rounds(unsigned done, double spent) const;
  unsigned likely_rounds(double round_seconds) const;
  // Seconds of CPU time that the measured runs of the current part and the excluded processes used.
  double own_cpu_seconds();
  // The part that is being measured.
  part_result& current() { return results_.parts.back(); }

  comparison_options options_;
  settings settings_;
  progress progress_;
  clock::time_point begin_ = clock::now();

  std::vector<pid_t> excluded_;

  std::mutex mutex_; // guards results_ and finished_, which so_far() reads while a model runs
  comparison_results results_;
  std::size_t finished_ = 0;

  meter meter_;
};

} // namespace fourfold::tool
