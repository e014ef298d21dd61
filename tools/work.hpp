// What can be compared: a work is one or more parts, and a part is the same job done by several models.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "results.hpp"

namespace fourfold::tool {

class page_server;

struct settings {
  unsigned workers = 0; // threads of a pool, or worker processes, where the work does not prescribe its own
  unsigned cpus = 0;
  std::optional<std::chrono::microseconds> latency; // of a page or a wait; each part has its own default
  std::string directory;                            // empty: the default of `files`
  page_server* server = nullptr;                    // running when a chosen work needs it
};

struct model {
  std::string name;
  model_kind kind;
  // Does the whole job, from making its pools to closing them, and returns its result as text: equal text is
  // an equal result. Throws what goes wrong.
  std::function<std::string()> run;
  std::string note = {};
};

struct part {
  std::string title;
  std::vector<model> models; // the sequential one first
  std::string expected = {}; // the result, where it is known beforehand
  std::vector<std::string> notes = {};
};

struct part_plan {
  std::string name;
  // How long one run of every model takes together on an ordinary machine, as long as nothing better is
  // known.
  double round_seconds;
  // `seconds`: how long a round should take at most; a part that can be made smaller is, and says so in its
  // notes. Infinite when there is no limit.
  std::function<part(const settings&, double seconds)> make;
};

struct work {
  std::string name;
  std::string description;
  std::vector<part_plan> parts;
  bool needs_page_server = false;
  // Throws usage_error when the settings do not suit this work; called before anything is measured.
  std::function<void(const settings&)> check = {};
};

// One file of works/ each.
work primes_work();
work squares_work();
work fetch_work();
work files_work();
work hybrid_work();
work locked_work();

std::vector<work> all_works();

} // namespace fourfold::tool
