// B04, threads: one std::thread a sleeper, with the default stack. Only what is resident is counted; the
// kernel's own stack and bookkeeping of each thread (about 20 KiB more) are not, in the thread's favour.
#include "../support/measure.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  const std::uint64_t count = options.count != 0 ? options.count : 10'000;

  std::mutex mutex;
  std::condition_variable all_asleep;
  std::condition_variable never;
  std::uint64_t asleep = 0;
  std::vector<std::thread> threads;
  threads.reserve(count);

  const std::uint64_t before = measure::resident_bytes();
  try {
    for (std::uint64_t i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        std::unique_lock lock(mutex);
        if (++asleep == count)
          all_asleep.notify_one();
        never.wait_for(lock, std::chrono::hours(1) + std::chrono::microseconds(i));
      });
    }
  } catch (const std::system_error& failure) {
    measure::fail("only " + std::to_string(threads.size()) +
                  " threads can be started here: " + failure.what());
  }
  std::unique_lock lock(mutex);
  all_asleep.wait(lock, [&] { return asleep == count; });
  const std::uint64_t after = measure::resident_bytes();
  measure::print({{"bytes", static_cast<double>(after - before) / static_cast<double>(count)}});
  std::_Exit(0);
}
