// One sentence from the figures of a part: which model is best on this machine, and why.
#pragma once

#include <string>
#include <vector>

#include "results.hpp"

namespace fourfold::tool {

struct verdict {
  std::string sentence;
  std::vector<std::string> best; // the models that no other clearly beats; empty when nothing can be said
};

// `cpus`: how many CPUs this process may use. Models are told apart when they differ by more than twice their
// noise together, and by at least 5 %.
verdict judge(const part_result& part, unsigned cpus);

} // namespace fourfold::tool
