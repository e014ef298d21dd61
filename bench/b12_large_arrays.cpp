// B12: what does it cost to pass 512 MiB to a worker process and to have them back, beyond writing them?
#include "support/measure.hpp"

#include <fourfold/process/process_pool.hpp>
#include <fourfold/process/shared_vector.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace {

using array = fourfold::shared_vector<std::int64_t>;
constexpr std::size_t elements = (std::size_t{512} << 20) / sizeof(std::int64_t);

array mark(array values, std::int64_t sign) {
  values[0] = sign;
  values.back() = -sign;
  return values;
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  fourfold::process_pool pool({.workers = 1});
  array values(elements);
  std::fill(values.begin(), values.end(), std::int64_t{1});
  values = pool.submit(mark, std::move(values), std::int64_t{1}).get(); // the worker is there and warm

  std::vector<double> times;
  for (std::int64_t i = 0; i < 20; ++i) {
    const auto start = measure::clock::now();
    values = pool.submit(mark, std::move(values), i).get();
    times.push_back(measure::nanoseconds_since(start));
    measure::require(values.size() == elements && values[0] == i && values.back() == -i && values[1] == 1,
                     "the array came back with other elements");
  }
  measure::print({{"milliseconds", measure::percentile(times, 0.5) / 1e6}});
}
