#include "verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "text.hpp"

namespace fourfold::tool {
namespace {

struct candidate {
  const model_result* model;
  model_summary figures;
};

constexpr double smallest_difference = 0.05;

// How far apart two models must be, relative to the faster one, to be told apart. A single run says nothing
// about noise, so it is assumed to be as large as on a busy machine.
double noise_between(const candidate& left, const candidate& right) {
  const auto noise = [](const candidate& one) {
    return one.model->runs.size() < 3 ? 0.05 : one.figures.noise;
  };
  return std::max(smallest_difference, 2 * (noise(left) + noise(right)));
}

// The share of all pairs of runs in which `fast` took less time: medians of few runs can differ by chance,
// but then the runs overlap.
double share_won(const candidate& fast, const candidate& slow) {
  std::size_t won = 0;
  for (const run_figures& left : fast.model->runs) {
    for (const run_figures& right : slow.model->runs)
      won += left.wall_seconds < right.wall_seconds ? 1 : 0;
  }
  return static_cast<double>(won) / static_cast<double>(fast.model->runs.size() * slow.model->runs.size());
}

bool clearly_faster(const candidate& fast, const candidate& slow) {
  return slow.figures.wall_seconds > fast.figures.wall_seconds * (1 + noise_between(fast, slow)) &&
         share_won(fast, slow) >= 0.9;
}

// As it stands in a sentence.
std::string spoken(const model_result& model) {
  return model.kind == model_kind::hybrid ? "the " + model.name : model.name;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t at = 0; at < names.size(); ++at) {
    if (at > 0)
      text += at + 1 == names.size() ? " and " : ", ";
    text += names[at];
  }
  return text;
}

const candidate* find(const std::vector<candidate>& candidates, model_kind kind) {
  for (const candidate& one : candidates) {
    if (one.model->kind == kind)
      return &one;
  }
  return nullptr;
}

// What the sequential run did with its time decides what can be gained.
std::string nature(const candidate& sequential) {
  const double busy = sequential.figures.cpus_used;
  if (busy >= 0.8) {
    return fmt::format("the work computes all the time (one CPU {} busy when sequential)",
                       percent_text(std::min(busy, 1.0)));
  }
  if (busy <= 0.2) {
    return fmt::format("the work mostly waits (one CPU {} busy when sequential)", percent_text(busy));
  }
  return fmt::format("the work both waits and computes (one CPU {} busy when sequential)",
                     percent_text(busy));
}

std::string reason_for(const candidate& best, const candidate& sequential, unsigned cpus) {
  const double busy = sequential.figures.cpus_used;
  const std::string used = fmt::format("{} of {} CPUs", cpus_text(best.figures.cpus_used), cpus);
  std::string reason = nature(sequential);
  if (best.model->kind == model_kind::hybrid && busy <= 0.2) {
    reason += ", and several processes with several coroutines each hold the most waits at once";
  } else if (best.model->kind == model_kind::hybrid) {
    reason += fmt::format(", and only the hybrid overlaps the waits and also spreads the computing, using {}",
                          used);
  } else if (busy >= 0.8) {
    reason += fmt::format(", and {} put {} to use", best.model->name, used);
  } else if (best.model->kind == model_kind::coroutines) {
    reason += busy <= 0.2 ? ", and one thread can hold all the waits at once"
                          : ", and one thread can compute for one task while the others wait";
  } else {
    reason += fmt::format(", and {} overlap its waits, using {}", best.model->name, used);
  }
  return reason;
}

// A model that pays for its speed with clearly more CPU time than the sequential run.
std::optional<std::string> overhead_of(const candidate& best, const candidate& sequential) {
  const double more = best.figures.cpu_seconds - sequential.figures.cpu_seconds;
  if (sequential.figures.cpu_seconds < 0.01 || more < 0.25 * sequential.figures.cpu_seconds)
    return std::nullopt;
  return fmt::format("it costs {} more CPU time than the sequential run",
                     percent_text(more / sequential.figures.cpu_seconds));
}

std::optional<std::string> remark_on_lock(const std::vector<candidate>& all, const candidate& sequential) {
  const candidate* locked = find(all, model_kind::locked_threads);
  const candidate* threads = find(all, model_kind::threads);
  if (locked == nullptr || threads == nullptr)
    return std::nullopt;
  const double gain = sequential.figures.wall_seconds / locked->figures.wall_seconds;
  if (gain < 1.15) {
    return fmt::format("under a global lock the same threads gain nothing ({})", times_text(gain));
  }
  if (!clearly_faster(*threads, *locked)) {
    return fmt::format("a global lock costs nothing here, because it is released around every wait ({})",
                       times_text(gain));
  }
  return fmt::format("under a global lock threads reach only {}", times_text(gain));
}

std::string capital(std::string text) {
  if (!text.empty() && text.front() >= 'a' && text.front() <= 'z') {
    text.front() = static_cast<char>(text.front() - 'a' + 'A');
  }
  return text;
}

// Among equally fast models the one to take is the one that asks for least memory.
const candidate& lightest(const std::vector<candidate>& equal) {
  return *std::min_element(equal.begin(), equal.end(), [](const candidate& left, const candidate& right) {
    return left.figures.peak_bytes < right.figures.peak_bytes;
  });
}

std::string tied_sentence(const std::vector<candidate>& equal, const std::vector<std::string>& names,
                          const candidate& sequential, unsigned cpus) {
  const candidate& fastest = equal.front();
  const double gain = sequential.figures.wall_seconds / fastest.figures.wall_seconds;
  std::string sentence =
      fmt::format("No model is clearly better: {} are equally fast within the noise ({}), because {}",
                  joined(names), times_text(gain), nature(sequential));
  const candidate& light = lightest(equal);
  const auto heaviest =
      std::max_element(equal.begin(), equal.end(), [](const candidate& left, const candidate& right) {
        return left.figures.peak_bytes < right.figures.peak_bytes;
      });
  const bool uses_cpus = fastest.figures.cpus_used > 1.2;
  if (uses_cpus) {
    sentence +=
        fmt::format(" and each puts about {} of {} CPUs to use", cpus_text(fastest.figures.cpus_used), cpus);
  }
  if (static_cast<double>(heaviest->figures.peak_bytes) >
      1.2 * static_cast<double>(light.figures.peak_bytes)) {
    sentence += fmt::format("; {} {} the least memory ({} against {})", spoken(*light.model),
                            light.model->kind == model_kind::hybrid ? "needs" : "need",
                            bytes_text(light.figures.peak_bytes), bytes_text(heaviest->figures.peak_bytes));
  }
  return sentence;
}

} // namespace

verdict judge(const part_result& part, unsigned cpus) {
  std::vector<candidate> all;
  for (const model_result& model : part.models) {
    if (model.measured() && model.identical)
      all.push_back({&model, summarize(model)});
  }
  const candidate* const base = find(all, model_kind::sequential);
  if (base == nullptr || all.size() < 2)
    return {"Too little was measured to name a best model.", {}};
  const candidate sequential = *base;

  std::sort(all.begin(), all.end(), [](const candidate& left, const candidate& right) {
    return left.figures.wall_seconds < right.figures.wall_seconds;
  });
  std::vector<candidate> equal;
  std::vector<std::string> names;
  std::vector<std::string> spoken_names;
  for (const candidate& one : all) {
    if (clearly_faster(all.front(), one))
      continue;
    equal.push_back(one);
    names.push_back(one.model->name);
    spoken_names.push_back(spoken(*one.model));
  }
  const candidate& best = all.front();

  const bool sequential_among_best =
      std::find(names.begin(), names.end(), sequential.model->name) != names.end();
  std::string sentence;
  if (sequential_among_best) {
    const bool quiet = part.cpus_elsewhere < part_result::busy_elsewhere;
    const bool equal_times =
        best.figures.wall_seconds * (1 + smallest_difference) >= sequential.figures.wall_seconds;
    sentence = fmt::format("{} model is clearly better than the sequential run ({})",
                           quiet && equal_times ? "Do not parallelise this: no" : "No",
                           seconds_text(sequential.figures.wall_seconds));
    if (!equal_times)
      sentence += ", because the differences are within the noise";
    return {sentence + ".", {sequential.model->name}};
  }
  if (names.size() > 1) {
    sentence = tied_sentence(equal, spoken_names, sequential, cpus);
  } else {
    sentence = fmt::format("{} {} best here ({}): {}", capital(spoken(*best.model)),
                           best.model->kind == model_kind::hybrid ? "is" : "are",
                           times_text(sequential.figures.wall_seconds / best.figures.wall_seconds),
                           reason_for(best, sequential, cpus));
    if (const auto overhead = overhead_of(best, sequential))
      sentence += "; " + *overhead;
  }
  if (const auto remark = remark_on_lock(all, sequential))
    sentence += "; " + *remark;
  return {sentence + ".", names};
}

} // namespace fourfold::tool
