// B05, libuv: uv_timer_start and uv_timer_stop. Its timers end on whole milliseconds.
#include "../support/timers.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <uv.h>

namespace {

class libuv_timers {
 public:
  explicit libuv_timers(std::size_t count) : all_(count) {
    measure::require(uv_loop_init(&loop_) == 0, "uv_loop_init");
    loop_.data = this;
  }
  libuv_timers(const libuv_timers&) = delete;
  libuv_timers& operator=(const libuv_timers&) = delete;
  ~libuv_timers() {
    for (uv_timer_t& one : all_)
      uv_close(reinterpret_cast<uv_handle_t*>(&one), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }

  void arm(const std::vector<std::chrono::nanoseconds>& ends) {
    uv_update_time(&loop_);
    for (std::size_t i = 0; i < ends.size(); ++i) {
      uv_timer_init(&loop_, &all_[i]);
      const auto wait = std::chrono::ceil<std::chrono::milliseconds>(ends[i]).count();
      uv_timer_start(&all_[i], ended, static_cast<std::uint64_t>(wait), 0);
    }
  }
  void fire() { uv_run(&loop_, UV_RUN_DEFAULT); }
  void cancel() {
    for (uv_timer_t& one : all_)
      uv_timer_stop(&one);
  }
  [[nodiscard]] std::size_t fired() const { return fired_; }
  [[nodiscard]] std::size_t cancelled() const {
    const auto stopped = [](const uv_timer_t& one) {
      return uv_is_active(reinterpret_cast<const uv_handle_t*>(&one)) == 0;
    };
    return static_cast<std::size_t>(std::ranges::count_if(all_, stopped));
  }

 private:
  static void ended(uv_timer_t* one) { ++static_cast<libuv_timers*>(one->loop->data)->fired_; }

  uv_loop_t loop_{};
  std::vector<uv_timer_t> all_;
  std::size_t fired_ = 0;
};

} // namespace

int main(int argc, char** argv) { timers::run<libuv_timers>(argc, argv); }
