// A worker process crashes. Its task fails, with an error that says why; everything else goes on.
#include <fourfold/fourfold.hpp>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <vector>

namespace {

int parse(int input) {
  if (input == 7)
    std::raise(SIGSEGV); // as a wild pointer would
  if (input == 9)
    throw std::out_of_range("9 is too large");
  return input * input;
}

} // namespace

int main() {
  fourfold::process_pool pool({.workers = 2});

  std::vector<fourfold::future<int>> results;
  for (int input = 0; input < 20; ++input)
    results.push_back(pool.submit(parse, input));

  int succeeded = 0;
  int died = 0;
  int threw = 0;
  for (fourfold::future<int>& result : results) {
    try {
      result.get();
      ++succeeded;
    } catch (const fourfold::worker_died& e) {
      ++died;
      std::printf("%s\n", e.what());
    } catch (const std::out_of_range& e) {
      ++threw;
      std::printf("out_of_range: %s\n", e.what());
    }
  }
  std::printf("%d succeeded, %d worker died, %d threw; the pool goes on: 6 * 6 = %d\n", succeeded, died,
              threw, pool.submit(parse, 6).get());
  return succeeded == 18 && died == 1 && threw == 1 && pool.statistics().failed_by_death == 1 ? 0 : 1;
}
