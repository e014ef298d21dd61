#include "report/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/embedded.hpp"
#include "text.hpp"
#include "verdict.hpp"
#include "version.hpp"

namespace fourfold::tool {
namespace {

std::string escaped(std::string_view text) {
  std::string html;
  html.reserve(text.size());
  for (const char character : text) {
    switch (character) {
    case '&': html += "&amp;"; break;
    case '<': html += "&lt;"; break;
    case '>': html += "&gt;"; break;
    case '"': html += "&quot;"; break;
    case '\'': html += "&#39;"; break;
    default: html += character;
    }
  }
  return html;
}

// A script element ends at the first "</", whatever its content's own syntax says.
std::string inside_script(std::string text) {
  for (std::size_t at = 0; (at = text.find('<', at)) != std::string::npos; ++at)
    text.replace(at, 1, "\\u003c");
  return text;
}

bool is_best(const verdict& judged, const model_result& model) {
  return std::find(judged.best.begin(), judged.best.end(), model.name) != judged.best.end();
}

std::string joined_names(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string anchor(const part_result& part) { return part.work + "-" + part.part; }

std::string machine_list(const comparison_results& results) {
  const machine& here = results.where;
  const auto item = [](std::string_view term, const std::string& text) {
    return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", term, escaped(text));
  };
  std::string cpus = fmt::format("{} usable", here.cpus_usable);
  if (here.cpus_online != here.cpus_usable)
    cpus += fmt::format(" of {}", here.cpus_online);
  std::string html = "<dl class=\"machine\">\n";
  html += item("Processor", here.cpu_model + ", " + here.architecture);
  html += item("CPUs", cpus);
  html += item("Memory", bytes_text(here.memory_bytes));
  html += item("System", here.system);
  html += item("Kernel", here.kernel);
  html += item("Built with", here.compiler);
  html += item("Workers", std::to_string(results.workers));
  std::string date = here.date;
  std::replace(date.begin(), date.end(), 'T', ' ');
  html += item("Date", date);
  return html + "</dl>\n";
}

std::string overview(const comparison_results& results) {
  std::string html =
      "<section class=\"card overview\">\n<h2>At a glance</h2>\n<div class=\"scroll\"><table>\n"
      "<thead><tr><th>Work</th><th>Best here</th><th class=\"n\">Time</th><th "
      "class=\"n\">Speed-up</th></tr></thead>\n<tbody>\n";
  for (const part_result& part : results.parts) {
    const verdict judged = judge(part, results.where.cpus_usable);
    const auto best = std::find_if(part.models.begin(), part.models.end(),
                                   [&](const model_result& model) { return is_best(judged, model); });
    const bool known = best != part.models.end();
    html += fmt::format(
        "<tr><td><a href=\"#{}\">{} · {}</a></td><td>{}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td></tr>\n",
        escaped(anchor(part)), escaped(part.work), escaped(part.part),
        known ? escaped(joined_names(judged.best)) : "–",
        known ? seconds_text(summarize(*best).wall_seconds) : "–",
        known ? times_text(speed_up(part, *best)) : "–");
  }
  return html + "</tbody></table></div>\n</section>\n";
}

std::string model_row(const comparison_results& results, const part_result& part, const model_result& model,
                      const verdict& judged) {
  std::string html = fmt::format("<tr{}><th scope=\"row\">{}",
                                 is_best(judged, model) ? " class=\"best\"" : "", escaped(model.name));
  if (!model.note.empty())
    html += fmt::format("<small>{}</small>", escaped(model.note));
  html += "</th>";
  if (!model.measured()) {
    html += fmt::format("<td colspan=\"7\" class=\"bad\">{}</td></tr>\n",
                        model.failure.empty() ? "not run" : "failed: " + escaped(model.failure));
    return html;
  }
  const model_summary figures = summarize(model);
  const auto cell = [&html](const std::string& text) {
    html += fmt::format("<td class=\"n\">{}</td>", text);
  };
  cell(seconds_text(figures.wall_seconds));
  cell(model.runs.size() < 2 ? "–" : fmt::format("±{:.1f} %", figures.noise * 100));
  cell(times_text(speed_up(part, model)));
  cell(fmt::format("{} of {}", cpus_text(figures.cpus_used), results.where.cpus_usable));
  cell(bytes_text(figures.peak_bytes));
  cell(count_text(figures.context_switches));
  html += model.identical ? "<td>same</td></tr>\n" : "<td class=\"bad\">differs</td></tr>\n";
  return html;
}

std::string section(const comparison_results& results, const part_result& part) {
  const verdict judged = judge(part, results.where.cpus_usable);
  std::string html = fmt::format(
      "<section class=\"card\" id=\"{0}\" aria-labelledby=\"{0}-title\">\n<h2 id=\"{0}-title\">{1} "
      "<span>{2}</span></h2>\n"
      "<p class=\"what\">{3}</p>\n<p class=\"verdict\">{4}</p>\n",
      escaped(anchor(part)), escaped(part.work), escaped(part.part), escaped(part.title),
      escaped(part.verdict));
  html += "<div class=\"charts\" hidden></div>\n";
  html +=
      "<div class=\"scroll\"><table>\n<thead><tr><th>Model</th><th class=\"n\">Time</th><th "
      "class=\"n\">Noise</th>"
      "<th class=\"n\">Speed-up</th><th class=\"n\">CPUs used</th><th class=\"n\">Peak memory</th>"
      "<th class=\"n\">Switches</th><th>Result</th></tr></thead>\n<tbody>\n";
  for (const model_result& model : part.models)
    html += model_row(results, part, model, judged);
  html += "</tbody></table></div>\n";
  if (!part.result.empty())
    html += fmt::format("<p class=\"result\">Result: <code>{}</code></p>\n", escaped(part.result));
  if (!part.notes.empty()) {
    html += "<ul class=\"notes\">\n";
    for (const std::string& note : part.notes)
      html += fmt::format("<li>{}</li>\n", escaped(note));
    html += "</ul>\n";
  }
  return html + "</section>\n";
}

} // namespace

std::string report_page(const comparison_results& results) {
  std::string html =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'; img-src data:\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n<title>Fourfold compare</title>\n";
  html += fmt::format("<style>\n{}</style>\n</head>\n<body>\n<header>\n", embedded::page_css);
  html +=
      "<p class=\"brand\">Fourfold</p>\n<h1>The same work, in every place it can run</h1>\n"
      "<p class=\"lead\">Each work was done sequentially and then on threads, in processes, with coroutines "
      "or as the hybrid "
      "of the last two, with identical results checked. Times are medians; speed-up is against the "
      "sequential run on "
      "this machine.</p>\n";
  html += machine_list(results);
  html += "</header>\n<main>\n";
  if (!results.complete)
    html += "<p class=\"banner\">This comparison is not complete: see the notes.</p>\n";
  if (!results.notes.empty()) {
    html += "<ul class=\"notes\">\n";
    for (const std::string& note : results.notes)
      html += fmt::format("<li>{}</li>\n", escaped(note));
    html += "</ul>\n";
  }
  if (!results.parts.empty())
    html += overview(results);
  for (const part_result& part : results.parts)
    html += section(results, part);
  html += "</main>\n<footer>\n";
  html += fmt::format("<p>Written by <code>{}</code>, version {}. ", escaped(results.command), version);
  html +=
      "CPUs used: CPU time of the program and its workers over wall time. Peak memory: of all processes "
      "together, shared "
      "pages counted once. Switches: context switches of all threads. Noise: median absolute deviation of "
      "the time. "
      "Charts by Chart.js (MIT licence).</p>\n</footer>\n";
  html += fmt::format("<script type=\"application/json\" id=\"results\">{}</script>\n",
                      inside_script(json_text(results)));
  html += fmt::format("<script>{}</script>\n<script>\n{}</script>\n</body>\n</html>\n", embedded::chart_js,
                      embedded::page_js);
  return html;
}

} // namespace fourfold::tool
