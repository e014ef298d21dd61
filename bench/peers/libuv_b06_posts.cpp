// B06, libuv: its one thread-safe call is uv_async_send, which coalesces; so the functions go through a vector
// behind a mutex, as its documentation advises, and the callback takes all that there are.
#include "../support/posts.hpp"

#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include <uv.h>

namespace {

class mailbox {
 public:
  mailbox() {
    measure::require(uv_loop_init(&loop_) == 0, "uv_loop_init");
    measure::require(uv_async_init(&loop_, &bell_, collect) == 0, "uv_async_init");
    bell_.data = this;
  }
  mailbox(const mailbox&) = delete;
  mailbox& operator=(const mailbox&) = delete;
  ~mailbox() {
    uv_close(reinterpret_cast<uv_handle_t*>(&bell_), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }

  template <class Function>
  void post(Function function) {
    {
      const std::lock_guard guard(lock_);
      posted_.emplace_back(std::move(function));
    }
    uv_async_send(&bell_);
  }
  void run() { uv_run(&loop_, UV_RUN_DEFAULT); }
  // The loop's thread: run() returns. The bell stays: the thread that posted this may be about to ring it.
  void stop() { uv_stop(&loop_); }

 private:
  static void collect(uv_async_t* bell) {
    auto& self = *static_cast<mailbox*>(bell->data);
    {
      const std::lock_guard guard(self.lock_);
      std::swap(self.posted_, self.running_);
    }
    for (const auto& function : self.running_)
      function();
    self.running_.clear();
  }

  uv_loop_t loop_{};
  uv_async_t bell_{};
  std::mutex lock_;
  std::vector<std::function<void()>> posted_;
  std::vector<std::function<void()>> running_; // keeps its memory from one turn to the next
};

std::uint64_t receive(std::uint64_t count) {
  mailbox loop;
  std::uint64_t threads_ended = 0;
  const posts::producers producers(
      count, [&loop](auto function) { loop.post(function); },
      [&] {
        if (++threads_ended == posts::threads)
          loop.stop();
      });
  loop.run();
  return producers.ran();
}

} // namespace

int main(int argc, char** argv) { posts::run(argc, argv, receive); }
