#include "compare.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "comparison.hpp"
#include "errors.hpp"
#include "interruption.hpp"
#include "machine.hpp"
#include "output_file.hpp"
#include "page_server.hpp"
#include "report/report.hpp"
#include "results_json.hpp"
#include "table.hpp"
#include "terminal.hpp"
#include "work.hpp"
#include <fourfold/base/cpu_count.hpp>
#include <fourfold/sync/mutex.hpp>

namespace fourfold::tool {

struct compare_options {
  std::vector<std::string> works;
  std::optional<long> workers;
  std::optional<long> repeat;
  std::optional<double> seconds;
  std::optional<double> latency;
  std::string directory;
  std::string json;
  std::string report;
  long port = 0;
  bool list = false;
};

namespace {

using namespace std::chrono_literals;

void require(bool holds, const std::string& text) {
  if (!holds)
    throw usage_error(text);
}

void check(const compare_options& options) {
  if (options.workers) {
    require(*options.workers >= 1 && *options.workers <= 1024,
            fmt::format("--workers must be 1 to 1024, not {}", *options.workers));
  }
  if (options.repeat) {
    require(*options.repeat >= 1 && *options.repeat <= 1000,
            fmt::format("--repeat must be 1 to 1000, not {}", *options.repeat));
  }
  if (options.seconds) {
    require(std::isfinite(*options.seconds) && *options.seconds > 0,
            fmt::format("--seconds must be more than 0, not {}", *options.seconds));
  }
  if (options.latency) {
    require(*options.latency >= 0 && *options.latency <= 60'000,
            fmt::format("--latency must be 0 to 60000 milliseconds, not {}", *options.latency));
  }
  require(options.port >= 0 && options.port <= 65535,
          fmt::format("--port must be 0 to 65535, not {}", options.port));
}

std::vector<work> chosen_works(const std::vector<std::string>& names) {
  std::vector<work> all = all_works();
  if (names.empty())
    return all;
  const auto name_is = [](const std::string& name) {
    return [&name](const work& one) { return one.name == name; };
  };
  for (const std::string& name : names) {
    if (std::any_of(all.begin(), all.end(), name_is(name)))
      continue;
    std::string known;
    for (const work& one : all)
      known += (known.empty() ? "" : ", ") + one.name;
    throw usage_error(fmt::format("there is no work named '{}'; there are {}", name, known));
  }
  std::erase_if(
      all, [&](const work& one) { return std::find(names.begin(), names.end(), one.name) == names.end(); });
  return all;
}

std::string command_line(const compare_options& options) {
  std::string text = "fourfold compare";
  for (const std::string& name : options.works)
    text += " " + name;
  if (options.workers)
    text += fmt::format(" --workers {}", *options.workers);
  if (options.repeat)
    text += fmt::format(" --repeat {}", *options.repeat);
  if (options.seconds)
    text += fmt::format(" --seconds {}", *options.seconds);
  if (options.latency)
    text += fmt::format(" --latency {}", *options.latency);
  if (!options.directory.empty())
    text += " --dir " + options.directory;
  return text;
}

void list_works() {
  std::string text;
  for (const work& one : all_works())
    text += fmt::format("{:<8} {}\n", one.name, one.description);
  write_all(STDOUT_FILENO, text);
}

// Everything one comparison writes. Used by the main thread, and by the signal's thread once it ends the
// program.
class results_writer {
 public:
  results_writer(const compare_options& options, unsigned cpus) : cpus_(cpus) {
    // Opened before anything is measured: nobody should wait for minutes to learn that a folder does not
    // exist.
    if (!options.json.empty())
      json_.emplace(options.json, 100'000);
    if (!options.report.empty())
      report_.emplace(options.report, report_size_limit);
  }

  void print(const part_result& part, const std::vector<std::string>& problems) {
    const std::lock_guard lock(mutex_);
    print_table(part);
    for (const std::string& line : problems)
      write_all(STDERR_FILENO, "fourfold: " + line + "\n");
    ++printed_;
  }

  void write_files(const comparison_results& results) {
    const std::lock_guard lock(mutex_);
    for (const std::string& note : results.notes)
      write_out("note: " + note + "\n");
    write_both(results);
  }

  // On the signal's thread. Does not wait for long: the main thread may be stuck in writing to a reader that
  // is gone.
  void write_interrupted(comparison_results results) {
    const std::unique_lock lock(mutex_, 1s);
    if (!lock)
      return;
    results.complete = false;
    results.notes.push_back("stopped by a signal; this is what was measured until then");
    for (std::size_t index = printed_; index < results.parts.size(); ++index)
      print_table(results.parts[index]);
    try {
      write_both(results);
    } catch (const usage_error& error) {
      write_all(STDERR_FILENO, fmt::format("fourfold: {}\n", error.what()));
    }
    write_all(STDERR_FILENO, "fourfold: stopped\n");
  }

 private:
  void print_table(const part_result& part) {
    const palette colours{shows_colour(STDOUT_FILENO)};
    const std::size_t width = std::min<std::size_t>(columns_of(STDOUT_FILENO), 100);
    write_out(table_of(part, cpus_, colours, width));
  }

  static void write_out(const std::string& text) {
    if (write_all(STDOUT_FILENO, text))
      return;
    throw usage_error(
        fmt::format("cannot write to standard output: {}", std::generic_category().message(errno)));
  }

  void write_both(const comparison_results& results) {
    if (json_)
      json_->write(json_text(results));
    if (!report_)
      return;
    report_->write(report_page(results));
    write_all(STDERR_FILENO, fmt::format("fourfold: the report is in {}\n", report_->path()));
  }

  const unsigned cpus_;
  mutex mutex_;
  std::size_t printed_ = 0;
  std::optional<output_file> json_;
  std::optional<output_file> report_;
};

} // namespace

compare_command::compare_command(CLI::App& program) : options_(std::make_unique<compare_options>()) {
  command_ =
      program.add_subcommand("compare", "Do the same work by every model and compare them on this machine");
  command_->add_option("work", options_->works, "What to compare; everything when none is named (see --list)")
      ->option_text("WORK...");
  command_
      ->add_option("--workers", options_->workers, "Threads of a pool, or worker processes (as many as CPUs)")
      ->option_text("N");
  command_
      ->add_option("--repeat", options_->repeat,
                   "Runs of each model; the median counts (3 to 9, by duration)")
      ->option_text("N");
  command_
      ->add_option("--seconds", options_->seconds, "Time budget for everything; work is scaled down to fit")
      ->option_text("S");
  command_
      ->add_option("--latency", options_->latency,
                   "Milliseconds that a page or a wait takes (5 to 100, by work)")
      ->option_text("MS");
  command_->add_option("--dir", options_->directory, "The folder that 'files' reads, with all below it")
      ->option_text("DIR");
  command_->add_option("--port", options_->port, "Port of the page server on loopback (any that is free)")
      ->option_text("N");
  command_->add_option("--json", options_->json, "Write the figures as JSON")->option_text("FILE");
  command_->add_option("--report", options_->report, "Write a report with charts as one HTML file")
      ->option_text("FILE.html");
  command_->add_flag("--list", options_->list, "List what can be compared");
}

compare_command::~compare_command() = default;

bool compare_command::chosen() const { return command_->parsed(); }

int compare_command::run() {
  const compare_options& options = *options_;
  if (options.list) {
    list_works();
    return exit_ok;
  }
  check(options);
  const std::vector<work> works = chosen_works(options.works);
  ::signal(SIGPIPE, SIG_IGN); // a reader that goes away is an error of the write, not a death

  settings chosen;
  chosen.cpus = cpu_count();
  chosen.workers = options.workers ? static_cast<unsigned>(*options.workers) : chosen.cpus;
  chosen.directory = options.directory;
  if (options.latency) {
    chosen.latency = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::duration<double, std::milli>(*options.latency));
  }
  for (const work& one : works) {
    if (one.check)
      one.check(chosen);
  }
  results_writer writer(options, chosen.cpus);

  // The signal's thread must be there before any other; what it reports on is made after it.
  std::atomic<comparison*> running{nullptr};
  const interruption on_signal([&] {
    comparison* const known = running;
    if (known == nullptr)
      return;
    known->line().clear();
    writer.write_interrupted(known->so_far());
  });
  std::optional<page_server> server;
  if (std::any_of(works.begin(), works.end(), [](const work& one) { return one.needs_page_server; })) {
    server.emplace(static_cast<std::uint16_t>(options.port));
    chosen.server = &*server;
  }

  comparison_results frame;
  frame.where = this_machine(chosen.cpus);
  frame.workers = chosen.workers;
  frame.command = command_line(options);
  comparison compared({options.repeat ? std::optional(static_cast<unsigned>(*options.repeat)) : std::nullopt,
                       options.seconds},
                      chosen, std::move(frame));
  if (server)
    compared.exclude(server->pid());
  running = &compared;

  int status = exit_ok;
  compared.run(works, [&](const part_result& part, const std::vector<std::string>& problems) {
    writer.print(part, problems);
    if (!problems.empty())
      status = exit_different;
  });
  writer.write_files(compared.so_far());
  running = nullptr;
  return status;
}

} // namespace fourfold::tool
