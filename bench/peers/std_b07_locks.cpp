// B07, the standard library.
#include "../support/contention.hpp"

#include <mutex>
#include <semaphore>

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  std::mutex mutex;
  std::recursive_mutex recursive;
  std::counting_semaphore<> semaphore(1);
  const double of_mutex = contention::per_section(options, [&] { mutex.lock(); }, [&] { mutex.unlock(); });
  const double of_recursive_mutex =
      contention::per_section(options, [&] { recursive.lock(); }, [&] { recursive.unlock(); });
  const double of_semaphore =
      contention::per_section(options, [&] { semaphore.acquire(); }, [&] { semaphore.release(); });
  measure::print({{"mutex", of_mutex}, {"recursive_mutex", of_recursive_mutex}, {"semaphore", of_semaphore}});
}
