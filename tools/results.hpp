// What a comparison measured: plain data that the tables, the JSON and the report are all written from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fourfold::tool {

enum class model_kind { sequential, threads, locked_threads, processes, coroutines, hybrid };

// The stable key of a kind in the JSON ("threads under a global lock" is spelled "locked_threads").
const char* key_of(model_kind kind);

// One run of one model.
struct run_figures {
  double wall_seconds = 0;
  double cpu_seconds = 0; // of this process and its workers, without the measuring itself
  std::uint64_t peak_bytes = 0;
  std::uint64_t context_switches = 0;
  std::string result;
};

struct model_result {
  std::string name;
  std::string note;
  model_kind kind = model_kind::sequential;
  std::vector<run_figures> runs;
  std::string failure; // the first error of this model; empty when every run ended well
  bool identical = true;

  bool measured() const { return failure.empty() && !runs.empty(); }
};

// The medians of a model's runs. `noise` is the median absolute deviation of the wall time, relative to its
// median.
struct model_summary {
  double wall_seconds = 0;
  double noise = 0;
  double cpu_seconds = 0;
  double cpus_used = 0;
  std::uint64_t peak_bytes = 0;
  std::uint64_t context_switches = 0;
};
model_summary summarize(const model_result& model);

// One table: the same work done by several models.
struct part_result {
  std::string work;
  std::string part;
  std::string title;
  std::string expected; // the result that is known beforehand; empty when there is none
  std::string result;   // what the first model that ended well returned
  std::vector<std::string> notes;
  std::vector<model_result> models;
  std::string verdict;
  // CPUs that other programs used meanwhile, among those that this one may use. From busy_elsewhere on,
  // differences between the models say more about the machine's other work than about them.
  double cpus_elsewhere = 0;
  static constexpr double busy_elsewhere = 0.25;
  bool complete = false;

  const model_result* sequential() const;
  bool anything_measured() const;
};

// Marks the models whose result differs from the expected one, or else from the sequential one. Returns one
// line for each difference and for each failure, naming the model.
std::vector<std::string> check_results(part_result& part);

// Sequential wall time over this model's; 0 when either was not measured.
double speed_up(const part_result& part, const model_result& model);

} // namespace fourfold::tool
