// The files that the report consists of, embedded in the program by report/embed.cmake.
#pragma once

#include <string_view>

namespace fourfold::tool::embedded {

extern const std::string_view chart_js; // Chart.js as Debian's libjs-chart.js ships it (MIT licence)
extern const std::string_view page_css;
extern const std::string_view page_js;

} // namespace fourfold::tool::embedded
