// A buffer of five places made by hand: one mutex, and one condition for each of the two things that can be waited for.
// A thread and a coroutine produce, a thread and a coroutine consume.
#include <fourfold/fourfold.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>

namespace {

constexpr int items_of_each = 500;

class bounded_buffer {
 public:
  void put(int item) {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [this] { return items_.size() < capacity; });
    push(item);
  }
  fourfold::task<> async_put(int item) {
    auto lock = co_await mutex_.async_scoped_lock();
    while (items_.size() == capacity)
      co_await not_full_.async_wait(lock);
    push(item);
  }
  int get() {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [this] { return !items_.empty(); });
    return pop();
  }
  fourfold::task<int> async_get() {
    auto lock = co_await mutex_.async_scoped_lock();
    while (items_.empty())
      co_await not_empty_.async_wait(lock);
    co_return pop();
  }
  /// The most that were ever in it; when nobody uses it any more.
  std::size_t fullest() const { return fullest_; }

  static constexpr std::size_t capacity = 5;

 private:
  void push(int item) {
    items_.push_back(item);
    fullest_ = std::max(fullest_, items_.size());
    not_empty_.notify_one();
  }
  int pop() {
    const int item = items_.front();
    items_.pop_front();
    not_full_.notify_one();
    return item;
  }

  fourfold::mutex mutex_;
  fourfold::condition not_full_;
  fourfold::condition not_empty_;
  std::deque<int> items_;
  std::size_t fullest_ = 0;
};

fourfold::task<> produce(bounded_buffer& buffer) {
  for (int i = 0; i < items_of_each; ++i)
    co_await buffer.async_put(1);
}

fourfold::task<int> consume(bounded_buffer& buffer) {
  int sum = 0;
  for (int i = 0; i < items_of_each; ++i)
    sum += co_await buffer.async_get();
  co_return sum;
}

fourfold::task<int> both(bounded_buffer& buffer) {
  fourfold::future<void> producing = fourfold::spawn(produce(buffer));
  const int sum = co_await consume(buffer);
  co_await producing;
  co_return sum;
}

} // namespace

int main() {
  bounded_buffer buffer;
  int got = 0;
  std::jthread producer([&] {
    for (int i = 0; i < items_of_each; ++i)
      buffer.put(1);
  });
  std::jthread consumer([&] {
    for (int i = 0; i < items_of_each; ++i)
      got += buffer.get();
  });
  const int got_here = fourfold::run(both(buffer));
  producer.join();
  consumer.join();
  std::printf("%d items, never more than %zu in the buffer\n", got + got_here, buffer.fullest());
  return got + got_here == 2 * items_of_each && buffer.fullest() <= bounded_buffer::capacity ? 0 : 1;
}
