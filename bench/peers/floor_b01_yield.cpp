// B01, the limit: coroutine handles in two vectors, resumed from one while they queue themselves in the
// other. No cancellation, no timers, no reactor, no error handling: a loop that has those cannot be faster
// than this.
#include "../support/measure.hpp"

#include <coroutine>
#include <cstdint>
#include <exception>
#include <vector>

namespace {

constexpr std::uint64_t tasks = 200;

struct bare_task {
  struct promise_type {
    bare_task get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

using handles = std::vector<std::coroutine_handle<>>;

struct requeue {
  handles* next;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) const { next->push_back(self); }
  void await_resume() const noexcept {}
};

bare_task take_turns(handles* next, std::uint64_t turns, std::uint64_t* taken) {
  for (std::uint64_t i = 0; i < turns; ++i) {
    co_await requeue{next};
    ++*taken;
  }
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  measure::pin_thread(options.first_cpu());
  const double ns = measure::nanoseconds_per_unit(
      options.seconds,
      [](std::uint64_t count) {
        std::uint64_t taken = 0;
        handles next;
        handles current;
        std::vector<bare_task> all;
        for (std::uint64_t i = 0; i < tasks; ++i) {
          all.push_back(take_turns(&next, count / tasks, &taken));
          next.push_back(all.back().handle);
        }
        while (!next.empty()) {
          current.swap(next);
          for (const auto handle : current)
            handle.resume();
          current.clear();
        }
        for (const auto& task : all)
          task.handle.destroy();
        measure::require(taken == count, "not every task took every turn");
      },
      tasks);
  measure::print({{"ns", ns}});
}
