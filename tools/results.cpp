#include "results.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace fourfold::tool {
namespace {

template <class Number>
Number median(std::vector<Number> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  if (values.size() % 2 != 0)
    return values[middle];
  return static_cast<Number>((values[middle - 1] + values[middle]) / 2);
}

template <class Get>
auto median_of(const std::vector<run_figures>& runs, Get get) {
  std::vector<decltype(get(runs.front()))> values;
  values.reserve(runs.size());
  for (const run_figures& run : runs)
    values.push_back(get(run));
  return median(std::move(values));
}

} // namespace

const char* key_of(model_kind kind) {
  switch (kind) {
  case model_kind::sequential: return "sequential";
  case model_kind::threads: return "threads";
  case model_kind::locked_threads: return "locked_threads";
  case model_kind::processes: return "processes";
  case model_kind::coroutines: return "coroutines";
  case model_kind::hybrid: return "hybrid";
  }
  return "unknown";
}

model_summary summarize(const model_result& model) {
  model_summary summary;
  if (model.runs.empty())
    return summary;
  summary.wall_seconds = median_of(model.runs, [](const run_figures& run) { return run.wall_seconds; });
  const double middle = summary.wall_seconds;
  if (middle > 0) {
    summary.noise =
        median_of(model.runs,
                  [middle](const run_figures& run) { return std::abs(run.wall_seconds - middle); }) /
        middle;
  }
  summary.cpu_seconds = median_of(model.runs, [](const run_figures& run) { return run.cpu_seconds; });
  summary.cpus_used = median_of(model.runs, [](const run_figures& run) {
    return run.wall_seconds > 0 ? run.cpu_seconds / run.wall_seconds : 0.0;
  });
  summary.peak_bytes = median_of(model.runs, [](const run_figures& run) { return run.peak_bytes; });
  summary.context_switches =
      median_of(model.runs, [](const run_figures& run) { return run.context_switches; });
  return summary;
}

const model_result* part_result::sequential() const {
  for (const model_result& model : models) {
    if (model.kind == model_kind::sequential && model.measured())
      return &model;
  }
  return nullptr;
}

bool part_result::anything_measured() const {
  return std::any_of(models.begin(), models.end(),
                     [](const model_result& model) { return !model.runs.empty(); });
}

std::vector<std::string> check_results(part_result& part) {
  std::vector<std::string> lines;
  const std::string where = fmt::format("{} ({})", part.work, part.part);
  std::string reference = part.expected;
  std::string source = "the known result";
  if (reference.empty()) {
    for (const model_result& model : part.models) {
      if (model.runs.empty())
        continue;
      reference = model.runs.front().result;
      source = model.name;
      break;
    }
  }
  for (model_result& model : part.models) {
    for (const run_figures& run : model.runs) {
      if (part.result.empty() && run.result == reference)
        part.result = run.result;
      if (run.result == reference || !model.identical)
        continue;
      model.identical = false;
      lines.push_back(fmt::format("{}: the result of {} differs: {}; {} is {}", where, model.name, run.result,
                                  source, reference));
    }
    if (!model.failure.empty())
      lines.push_back(fmt::format("{}: {} failed: {}", where, model.name, model.failure));
  }
  return lines;
}

double speed_up(const part_result& part, const model_result& model) {
  const model_result* base = part.sequential();
  if (base == nullptr || !model.measured())
    return 0;
  const double wall = summarize(model).wall_seconds;
  return wall > 0 ? summarize(*base).wall_seconds / wall : 0;
}

} // namespace fourfold::tool
