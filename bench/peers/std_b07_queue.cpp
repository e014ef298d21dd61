// B07, what is written by hand with the standard library: a deque, a mutex and two condition variables.
#include "../support/contention.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>

namespace {

struct queue {
  std::mutex m;
  std::condition_variable not_full;
  std::condition_variable not_empty;
  std::deque<std::uint64_t> items;
};

struct side {
  queue& q;
  explicit side(queue& shared) : q(shared) {}
  void put(std::uint64_t item) {
    {
      std::unique_lock lock(q.m);
      q.not_full.wait(lock, [&] { return q.items.size() < contention::capacity; });
      q.items.push_back(item);
    }
    q.not_empty.notify_one();
  }
  std::uint64_t get() {
    std::unique_lock lock(q.m);
    q.not_empty.wait(lock, [&] { return !q.items.empty(); });
    const std::uint64_t item = q.items.front();
    q.items.pop_front();
    lock.unlock();
    q.not_full.notify_one();
    return item;
  }
};

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  queue q;
  measure::print({{"queue", contention::per_item<side>(options, q)}});
}
