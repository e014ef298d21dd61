// X01: four sums of squares with loads 1:2:3:4, exact in 128 bits.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <string>
#include <vector>

#include "work.hpp"
#include "works/models.hpp"
#include "works/wide.hpp"

namespace fourfold::tool {
namespace {

wide sum_of_squares(std::uint64_t last) {
  wide sum = 0;
  for (std::uint64_t number = 1; number <= last; ++number) {
    // Without this a compiler may replace the loop by the closed formula, and there would be nothing to
    // compare.
    asm volatile("" : "+r"(number));
    sum += static_cast<wide>(number) * number;
  }
  return sum;
}

// The largest load is handed out first, or the last worker would begin it when the others are done. The
// results are shown in the order of the row.
const std::vector<std::uint64_t> largest_first = {40'000'000, 30'000'000, 20'000'000, 10'000'000};

std::string shown(const std::vector<wide>& sums) {
  std::vector<std::string> digits;
  for (auto sum = sums.rbegin(); sum != sums.rend(); ++sum)
    digits.push_back(decimal(*sum));
  return fmt::format("{}", fmt::join(digits, " "));
}

part four_loads(const settings& chosen, double) {
  const unsigned workers = chosen.workers;
  part job;
  job.title = "Sum the squares up to 10, 20, 30 and 40 million, exactly, in 128 bits";
  job.expected =
      "333333383333335000000 2666666866666670000000 9000000450000005000000 21333334133333340000000";
  job.models = {
      {"sequential", model_kind::sequential,
       [] { return shown(sequentially(sum_of_squares, largest_first)); }},
      {"threads", model_kind::threads,
       [=] { return shown(on_threads(workers, sum_of_squares, largest_first)); }},
      {"processes", model_kind::processes,
       [=] { return shown(in_processes(workers, sum_of_squares, largest_first)); }},
  };
  if (workers > 2) {
    job.notes.push_back(
        "the largest of the four loads is 40 % of the work, so no number of workers gains more than 2.5×");
  }
  return job;
}

} // namespace

work squares_work() {
  return {"squares",
          "four exact sums of squares with loads 1:2:3:4: computing in uneven pieces",
          {{"four-loads", 0.2, four_loads}}};
}

} // namespace fourfold::tool
