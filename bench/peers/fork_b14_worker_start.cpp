// B14: fork a process that ends at once, and wait for it: two of them, and one.
#include "support/measure.hpp"

#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace {

double fork_and_wait(int count) {
  const auto start = measure::clock::now();
  for (int i = 0; i < count; ++i) {
    const pid_t child = ::fork();
    if (child == 0)
      ::_exit(0);
    measure::require(child > 0, "fork failed");
  }
  for (int i = 0; i < count; ++i)
    measure::require(::wait(nullptr) > 0, "wait failed");
  return measure::nanoseconds_since(start) / 1e6;
}

double median_of_many(double seconds, int count) {
  std::vector<double> times;
  const auto begin = measure::clock::now();
  while (measure::nanoseconds_since(begin) < seconds * 1e9 / 2)
    times.push_back(fork_and_wait(count));
  return measure::percentile(times, 0.5);
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  const double pool = median_of_many(options.seconds, 2);
  measure::print({{"pool", pool}, {"recycle", median_of_many(options.seconds, 1)}});
}
