// The results as one HTML file that needs nothing else: no network, and no JavaScript for its tables.
#pragma once

#include <string>

#include "results_json.hpp"

namespace fourfold::tool {

// Enough for the page of any comparison; what output_file reserves on the disk.
inline constexpr std::size_t report_size_limit = 1'000'000;

std::string report_page(const comparison_results& results);

} // namespace fourfold::tool
