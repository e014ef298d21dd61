#include "results_json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "verdict.hpp"
#include "version.hpp"

namespace fourfold::tool {
namespace {

using json = nlohmann::ordered_json;

json to_json(const machine& where) {
  return {{"cpu_model", where.cpu_model},
          {"cpus_usable", where.cpus_usable},
          {"cpus_online", where.cpus_online},
          {"memory_bytes", where.memory_bytes},
          {"kernel", where.kernel},
          {"system", where.system},
          {"architecture", where.architecture},
          {"compiler", where.compiler},
          {"date", where.date}};
}

json to_json(const run_figures& run) {
  return {{"wall_seconds", run.wall_seconds},
          {"cpu_seconds", run.cpu_seconds},
          {"peak_bytes", run.peak_bytes},
          {"context_switches", run.context_switches}};
}

json to_json(const part_result& part, const model_result& model, const verdict& judged) {
  const model_summary figures = summarize(model);
  json object = {{"model", model.name}, {"kind", key_of(model.kind)}, {"note", model.note}};
  object["measured"] = model.measured();
  object["wall_seconds"] = figures.wall_seconds;
  object["noise"] = figures.noise;
  object["speed_up"] = speed_up(part, model);
  object["cpu_seconds"] = figures.cpu_seconds;
  object["cpus_used"] = figures.cpus_used;
  object["peak_bytes"] = figures.peak_bytes;
  object["context_switches"] = figures.context_switches;
  object["identical"] = model.identical;
  object["best"] = std::find(judged.best.begin(), judged.best.end(), model.name) != judged.best.end();
  object["failure"] = model.failure;
  object["runs"] = json::array();
  for (const run_figures& run : model.runs)
    object["runs"].push_back(to_json(run));
  return object;
}

json to_json(const part_result& part, unsigned cpus) {
  const verdict judged = judge(part, cpus);
  json object = {{"work", part.work}, {"part", part.part}, {"title", part.title}};
  object["complete"] = part.complete;
  object["cpus_elsewhere"] = part.cpus_elsewhere;
  object["result"] = part.result;
  object["expected"] = part.expected;
  object["best"] = judged.best;
  object["verdict"] = part.verdict;
  object["notes"] = part.notes;
  object["models"] = json::array();
  for (const model_result& model : part.models)
    object["models"].push_back(to_json(part, model, judged));
  return object;
}

} // namespace

nlohmann::ordered_json to_json(const comparison_results& results) {
  json document = {{"program", "fourfold compare"}, {"version", version}, {"format", 1}};
  document["complete"] = results.complete;
  document["command"] = results.command;
  document["workers"] = results.workers;
  document["machine"] = to_json(results.where);
  document["notes"] = results.notes;
  document["comparisons"] = json::array();
  for (const part_result& part : results.parts) {
    document["comparisons"].push_back(to_json(part, results.where.cpus_usable));
  }
  return document;
}

std::string json_text(const comparison_results& results) {
  // File names and system texts need not be UTF-8; what is not is replaced rather than thrown over.
  return to_json(results).dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

} // namespace fourfold::tool
