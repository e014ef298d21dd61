#include "table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "text.hpp"
#include "verdict.hpp"

namespace fourfold::tool {
namespace {

constexpr std::size_t column_count = 7;
using row = std::array<std::string, column_count>;

row figures_row(const part_result& part, const model_result& model, unsigned cpus) {
  if (!model.failure.empty())
    return {model.name, "failed", "", "", "", "", ""};
  if (model.runs.empty())
    return {model.name, "not run", "", "", "", "", ""};
  const model_summary figures = summarize(model);
  return {model.name,
          seconds_text(figures.wall_seconds),
          times_text(speed_up(part, model)),
          fmt::format("{} of {}", cpus_text(figures.cpus_used), cpus),
          bytes_text(figures.peak_bytes),
          count_text(figures.context_switches),
          model.identical ? "same" : "DIFFERS"};
}

std::string aligned(const std::string& text, std::size_t width, bool left) {
  const std::string padding(width - width_of(text), ' ');
  return left ? text + padding : padding + text;
}

std::string without_trailing_spaces(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

} // namespace

std::string table_of(const part_result& part, unsigned cpus, const palette& colours, std::size_t width) {
  const verdict best = judge(part, cpus);
  std::vector<row> rows{{"model", "time", "speed-up", "CPUs used", "peak memory", "switches", "result"}};
  for (const model_result& model : part.models)
    rows.push_back(figures_row(part, model, cpus));

  std::array<std::size_t, column_count> widths{};
  for (const row& one : rows) {
    for (std::size_t at = 0; at < column_count; ++at)
      widths[at] = std::max(widths[at], width_of(one[at]));
  }

  std::string text = fmt::format("{}  {}\n", colours.bold(part.work + " · " + part.part), part.title);
  for (std::size_t at = 0; at < rows.size(); ++at) {
    std::string line = "  ";
    for (std::size_t column = 0; column < column_count; ++column) {
      if (column > 0)
        line += "  ";
      line += aligned(rows[at][column], widths[column], column == 0 || column + 1 == column_count);
    }
    line = without_trailing_spaces(std::move(line));
    if (at == 0) {
      text += colours.dim(line);
    } else {
      const model_result& model = part.models[at - 1];
      const bool is_best = std::find(best.best.begin(), best.best.end(), model.name) != best.best.end();
      const bool wrong = !model.failure.empty() || !model.identical;
      text += wrong ? colours.red(line) : is_best ? colours.green(line) : line;
    }
    text += '\n';
  }
  if (!part.result.empty())
    text += "  " + colours.dim(wrapped("result: " + part.result, width - 2, "  ")) + "\n";
  for (const std::string& note : part.notes)
    text += "  " + colours.dim(wrapped("note: " + note, width - 2, "  ")) + "\n";
  text += "  " + wrapped("→ " + part.verdict, width - 2, "    ") + "\n\n";
  return text;
}

} // namespace fourfold::tool
