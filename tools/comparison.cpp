#include "comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "interruption.hpp"
#include "machine_load.hpp"
#include "process_tree.hpp"
#include "text.hpp"
#include "verdict.hpp"

namespace fourfold::tool {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

// Without --repeat: enough runs for a median, more where they cost little, one where they cost very much.
constexpr unsigned fewest_rounds = 3;
constexpr unsigned most_rounds = 9;
constexpr double enough_seconds = 3;
constexpr double very_long_round = 30;

void conclude(part_result& part, unsigned cpus) {
  part.complete = std::all_of(part.models.begin(), part.models.end(), [](const model_result& model) {
    return !model.runs.empty() || !model.failure.empty();
  });
  part.verdict = judge(part, cpus).sentence;
}

} // namespace

comparison::comparison(comparison_options options, settings chosen, comparison_results frame)
    : options_(options),
      settings_(std::move(chosen)),
      results_(std::move(frame)),
      meter_([this] { progress_.tick(); }) {}

double comparison::seconds_left() const {
  if (!options_.seconds)
    return unlimited;
  return *options_.seconds - std::chrono::duration<double>(clock::now() - begin_).count();
}

void comparison::run(
    const std::vector<work>& works,
    const std::function<void(const part_result&, const std::vector<std::string>&)>& finished) {
  double later = 0;
  for (const work& one : works) {
    for (const part_plan& plan : one.parts)
      later += plan.round_seconds * likely_rounds(plan.round_seconds);
  }
  for (const work& one : works) {
    for (const part_plan& plan : one.parts) {
      later = std::max(0.0, later - plan.round_seconds * likely_rounds(plan.round_seconds));
      if (seconds_left() <= 0) {
        const std::lock_guard lock(mutex_);
        results_.complete = false;
        results_.notes.push_back(fmt::format("{} ({}) was not measured: the {} of --seconds were used up",
                                             one.name, plan.name, seconds_text(*options_.seconds)));
        continue;
      }
      measure_part(one, plan, later);
      std::vector<std::string> lines;
      part_result result;
      {
        const std::lock_guard lock(mutex_);
        lines = check_results(current());
        conclude(current(), settings_.cpus);
        if (!current().complete)
          results_.complete = false;
        result = current();
        finished_ = results_.parts.size();
      }
      progress_.clear();
      finished(result, lines);
    }
  }
}

void comparison::measure_part(const work& one, const part_plan& plan, double later_seconds) {
  // The time that is left is shared in the ratio of what the parts usually need.
  double budget = unlimited;
  if (options_.seconds) {
    const double wanted = plan.round_seconds * likely_rounds(plan.round_seconds);
    budget = seconds_left() * wanted / (wanted + later_seconds);
  }
  const double round_limit = budget / std::min(options_.repeat.value_or(fewest_rounds), fewest_rounds);
  progress_.show(fmt::format("{} ({}): preparing", one.name, plan.name),
                 std::min(later_seconds, seconds_left()));
  const part job = plan.make(settings_, round_limit);

  part_result result;
  result.work = one.name;
  result.part = plan.name;
  result.title = job.title;
  result.expected = job.expected;
  result.notes = job.notes;
  for (const model& chosen : job.models)
    result.models.push_back({chosen.name, chosen.note, chosen.kind, {}, {}, true});
  {
    const std::lock_guard lock(mutex_);
    results_.parts.push_back(std::move(result));
  }
  const double own_before = own_cpu_seconds();
  const machine_load load;
  run_rounds(job, std::min(plan.round_seconds, round_limit), budget, later_seconds);
  const double elsewhere = load.cpus_in_use() - (own_cpu_seconds() - own_before) / load.seconds();

  const std::lock_guard lock(mutex_);
  current().cpus_elsewhere = std::max(0.0, elsewhere);
  if (current().cpus_elsewhere >= part_result::busy_elsewhere) {
    current().notes.push_back(
        fmt::format("other programs used {} of {} CPUs meanwhile: measure again on a quiet machine",
                    cpus_text(elsewhere), settings_.cpus));
  }
}

double comparison::own_cpu_seconds() {
  double seconds = 0;
  for (const model_result& model : current().models) {
    for (const run_figures& run : model.runs)
      seconds += run.cpu_seconds;
  }
  for (const pid_t process : excluded_)
    seconds += figures_of(process).cpu_seconds;
  return seconds;
}

void comparison::run_rounds(const part& job, double round_seconds, double budget, double later_seconds) {
  const clock::time_point begin = clock::now();
  const auto spent = [begin] { return std::chrono::duration<double>(clock::now() - begin).count(); };
  const double models = static_cast<double>(job.models.size());
  unsigned rounds = 0;
  // The models take turns, so that a disturbance of the machine does not fall on one of them alone.
  for (; !enough_rounds(rounds, spent()); ++rounds) {
    const double used = spent();
    if (rounds > 0)
      round_seconds = used / rounds;
    if (rounds > 0 && used + round_seconds > budget)
      break;
    for (std::size_t index = 0; index < job.models.size(); ++index) {
      if (rounds == 0 && index > 0 && seconds_left() <= 0)
        break;
      if (!current().models[index].failure.empty())
        continue;
      const unsigned all_rounds = std::max(rounds + 1, likely_rounds(round_seconds));
      const double rounds_to_go = all_rounds - rounds - static_cast<double>(index) / models;
      progress_.show(fmt::format("{} ({}): {}, run {} of {}", current().work, current().part,
                                 job.models[index].name, rounds + 1, all_rounds),
                     std::min(rounds_to_go * round_seconds + later_seconds, seconds_left()));
      run_model(job.models[index], index);
    }
  }
  if (options_.seconds && rounds < options_.repeat.value_or(fewest_rounds)) {
    const std::lock_guard lock(mutex_);
    current().notes.push_back(fmt::format("{} run{} of each model instead of {}, to keep within --seconds",
                                          rounds, rounds == 1 ? "" : "s",
                                          options_.repeat.value_or(fewest_rounds)));
  } else if (!options_.repeat && rounds < fewest_rounds) {
    const std::lock_guard lock(mutex_);
    current().notes.push_back("one run of each model only, because it takes long; --repeat asks for more");
  }
}

void comparison::run_model(const model& chosen, std::size_t index) {
  run_figures figures;
  std::string failure;
  try {
    figures = meter_.measure(chosen.run);
  } catch (const std::exception& error) {
    failure = *error.what() != '\0' ? error.what() : "an exception without a text";
  } catch (...) {
    failure = "an exception that is no std::exception";
  }
  if (!failure.empty())
    interruption::let_pending_signal_win();
  const std::lock_guard lock(mutex_);
  model_result& result = current().models[index];
  if (failure.empty()) {
    result.runs.push_back(std::move(figures));
  } else {
    result.failure = std::move(failure);
  }
}

bool comparison::enough_rounds(unsigned done, double spent) const {
  if (options_.repeat)
    return done >= *options_.repeat;
  if (done == 0)
    return false;
  if (done < fewest_rounds)
    return spent / done >= very_long_round;
  return done >= most_rounds || spent >= enough_seconds;
}

unsigned comparison::likely_rounds(double round_seconds) const {
  if (options_.repeat)
    return *options_.repeat;
  if (round_seconds >= very_long_round)
    return 1;
  const double wanted = std::ceil(enough_seconds / std::max(round_seconds, 0.01));
  return static_cast<unsigned>(std::clamp<double>(wanted, fewest_rounds, most_rounds));
}

comparison_results comparison::so_far() {
  const std::lock_guard lock(mutex_);
  comparison_results copy = results_;
  if (copy.parts.size() > finished_) {
    part_result& running = copy.parts.back();
    if (running.anything_measured()) {
      check_results(running);
      conclude(running, settings_.cpus);
      running.complete = false;
    } else {
      copy.parts.pop_back();
    }
  }
  return copy;
}

} // namespace fourfold::tool
