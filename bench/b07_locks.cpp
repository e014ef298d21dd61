// B07: what does it cost to go through a mutex or a semaphore of one permit, with nobody else there and with other
// threads?
#include "support/contention.hpp"

#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/recursive_mutex.hpp>
#include <fourfold/sync/semaphore.hpp>

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  fourfold::mutex mutex;
  fourfold::recursive_mutex recursive;
  fourfold::semaphore semaphore(1);
  const double of_mutex = contention::per_section(options, [&] { mutex.lock(); }, [&] { mutex.unlock(); });
  const double of_recursive_mutex =
      contention::per_section(options, [&] { recursive.lock(); }, [&] { recursive.unlock(); });
  const double of_semaphore =
      contention::per_section(options, [&] { semaphore.acquire(); }, [&] { semaphore.release(); });
  measure::print({{"mutex", of_mutex}, {"recursive_mutex", of_recursive_mutex}, {"semaphore", of_semaphore}});
}
