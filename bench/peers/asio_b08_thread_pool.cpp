// B08, Boost.Asio: `post(pool, std::packaged_task)`, whose completion token returns the std::future.
#include "../support/measure.hpp"

#include <boost/asio/packaged_task.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <cstdint>
#include <future>
#include <vector>

namespace {

namespace asio = boost::asio;

constexpr std::uint64_t batch = 1000;

std::uint64_t next(std::uint64_t value) { return value + 1; }

std::future<std::uint64_t> submit(asio::thread_pool& pool, std::uint64_t value) {
  return asio::post(pool, std::packaged_task<std::uint64_t()>([value] { return next(value); }));
}

double pipelined(const measure::options& options) {
  asio::thread_pool pool(options.cpus.size());
  std::vector<std::future<std::uint64_t>> futures(batch);
  return measure::nanoseconds_per_unit(
      options.seconds,
      [&](std::uint64_t count) {
        std::uint64_t sum = 0;
        for (std::uint64_t done = 0; done < count; done += batch) {
          for (std::uint64_t i = 0; i < batch; ++i)
            futures[i] = submit(pool, i);
          for (auto& future : futures)
            sum += future.get();
        }
        measure::require(sum == count / batch * (batch * (batch + 1) / 2), "a call was lost");
      },
      batch);
}

double one_at_a_time(const measure::options& options) {
  // On one CPU the pool is born there; across, the caller is placed afterwards: a pool that was born on one
  // CPU would rightly conclude that spinning is useless.
  if (options.placement == measure::placement::same_cpu)
    measure::pin_thread(options.first_cpu());
  asio::thread_pool pool(1);
  const int second_cpu = options.second_cpu();
  asio::post(pool, std::packaged_task<void()>([second_cpu] { measure::pin_thread(second_cpu); })).get();
  measure::pin_thread(options.first_cpu());
  return measure::nanoseconds_per_unit(options.seconds, [&](std::uint64_t count) {
    std::uint64_t value = 0;
    for (std::uint64_t i = 0; i < count; ++i)
      value = submit(pool, value).get();
    measure::require(value == count, "a call was lost");
  });
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::print({{"ns", options.pinned() ? one_at_a_time(options) : pipelined(options)}});
}
