// The results as JSON; docs/compare.md describes every key.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "machine.hpp"
#include "results.hpp"

namespace fourfold::tool {

// Everything a comparison has to tell.
struct comparison_results {
  machine where;
  unsigned workers = 0;
  std::string command;  // the options as given, for the reader of a report
  bool complete = true; // false after an interruption, or when the time budget left something out
  std::vector<std::string> notes;
  std::vector<part_result> parts;
};

nlohmann::ordered_json to_json(const comparison_results& results);
std::string json_text(const comparison_results& results);

} // namespace fourfold::tool
