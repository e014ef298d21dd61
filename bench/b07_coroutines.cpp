// B07: the same objects between coroutines of one loop. With `--threads 1` one coroutine has them for itself; with 2,
// two take turns: a lock is held across a yield, so that each section is a hand-over, and a queue has room for one.
#include "support/measure.hpp"

#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/queue.hpp>
#include <fourfold/sync/semaphore.hpp>

#include <cstdint>

namespace {

using queue = fourfold::queue<std::uint64_t>;

struct mutex_section {
  fourfold::mutex m;
  auto enter() { return m.async_lock(); }
  void leave() { m.unlock(); }
};
struct semaphore_section {
  fourfold::semaphore s{1};
  auto enter() { return s.async_acquire(); }
  void leave() { s.release(); }
};

template <class Section>
fourfold::task<> sections(Section& section, std::uint64_t& counter, std::uint64_t times, bool contended) {
  for (std::uint64_t i = 0; i < times; ++i) {
    co_await section.enter();
    if (contended)
      co_await fourfold::yield();
    ++counter;
    section.leave();
  }
}

template <class Section>
double per_section(const measure::options& options) {
  return measure::nanoseconds_per_unit(
      options.seconds,
      [&](std::uint64_t count) {
        Section section;
        std::uint64_t counter = 0;
        if (options.threads == 1) {
          fourfold::run(sections(section, counter, count, false));
        } else {
          fourfold::run(fourfold::gather(sections(section, counter, count / 2, true),
                                         sections(section, counter, count / 2, true)));
        }
        measure::require(counter == count, "an update was lost");
      },
      2);
}

fourfold::task<> put_and_get(queue& q, std::uint64_t& sum, std::uint64_t times) {
  for (std::uint64_t i = 0; i < times; ++i) {
    co_await q.async_put(i);
    sum += co_await q.async_get();
  }
}
fourfold::task<> put(queue& q, std::uint64_t times) {
  for (std::uint64_t i = 0; i < times; ++i)
    co_await q.async_put(i);
}
fourfold::task<> get(queue& q, std::uint64_t& sum, std::uint64_t times) {
  for (std::uint64_t i = 0; i < times; ++i)
    sum += co_await q.async_get();
}

double per_item(const measure::options& options) {
  return measure::nanoseconds_per_unit(options.seconds, [&](std::uint64_t count) {
    queue q(1);
    std::uint64_t sum = 0;
    if (options.threads == 1) {
      fourfold::run(put_and_get(q, sum, count));
    } else {
      fourfold::run(fourfold::gather(put(q, count), get(q, sum, count)));
    }
    measure::require(sum == count * (count - 1) / 2, "an item was lost or doubled");
  });
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  measure::print({{"mutex", per_section<mutex_section>(options)},
                  {"semaphore", per_section<semaphore_section>(options)},
                  {"queue", per_item(options)}});
}
