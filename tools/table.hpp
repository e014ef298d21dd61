// A part's results as an aligned table for people: coloured on a terminal, plain elsewhere.
#pragma once

#include <cstddef>
#include <string>

#include "results.hpp"
#include "terminal.hpp"

namespace fourfold::tool {

// Ends with an empty line. `width`: where notes and the verdict are wrapped; a table is as wide as it must
// be.
std::string table_of(const part_result& part, unsigned cpus, const palette& colours, std::size_t width);

} // namespace fourfold::tool
