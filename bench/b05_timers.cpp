// B05: the timers of a running loop, as `sleep` and `timeout` arm and withdraw them. What they wake is a
// plain waiter: the coroutine around it is the subject of B01 to B04.
#include "support/timers.hpp"

#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/task.hpp>

#include <chrono>
#include <cstddef>
#include <vector>

namespace {

class fourfold_timers {
 public:
  explicit fourfold_timers(std::size_t count) : all_(count, alarm(fired_)) {}

  void arm(const std::vector<std::chrono::nanoseconds>& ends) {
    const auto now = fourfold::clock::now();
    timers_.fire(now); // as every turn of the loop begins
    for (std::size_t i = 0; i < ends.size(); ++i)
      timers_.arm(all_[i], now + ends[i]);
  }
  void fire() { timers_.fire(fourfold::clock::now()); }
  void cancel() {
    for (alarm& one : all_)
      cancelled_ += timers_.withdraw(one) ? 1U : 0U;
  }
  [[nodiscard]] std::size_t fired() const { return fired_; }
  [[nodiscard]] std::size_t cancelled() const { return cancelled_; }

 private:
  class alarm final : public fourfold::waiter {
   public:
    explicit alarm(std::size_t& fired) : fired_(fired) {}
    alarm(const alarm& other) : fired_(other.fired_) {}
    void wake() noexcept override { ++fired_; }

   private:
    std::size_t& fired_;
  };

  fourfold::detail::timer_queue& timers_ = fourfold::loop::current().timers();
  std::size_t fired_ = 0;
  std::size_t cancelled_ = 0;
  std::vector<alarm> all_;
};

fourfold::task<void> measured(int argc, char** argv) {
  timers::run<fourfold_timers>(argc, argv);
  co_return;
}

} // namespace

int main(int argc, char** argv) { fourfold::run(measured(argc, argv)); }
