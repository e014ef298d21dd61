// The ways to run one function over many inputs, each from making its place to closing it, so that starting
// threads and processes is part of what is measured. The results come in the order of the inputs.
#pragma once

#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/place/map.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/semaphore.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "measure.hpp"

namespace fourfold::tool {

template <class F, class Input>
auto sequentially(F function, const std::vector<Input>& inputs) {
  std::vector<std::invoke_result_t<F, Input>> results;
  results.reserve(inputs.size());
  for (const Input& input : inputs)
    results.push_back(function(input));
  return results;
}

template <class F, class Input>
auto on_threads(unsigned threads, F function, const std::vector<Input>& inputs) {
  thread_pool pool({.threads = threads});
  return map(pool, std::move(function), inputs).get();
}

// `function` is a plain function or a captureless lambda; a coroutine function makes it the hybrid, with at
// most `at_once` coroutines in each worker.
template <class F, class Input>
auto in_processes(unsigned workers, F function, const std::vector<Input>& inputs, std::size_t at_once = 1) {
  process_pool pool({.workers = workers, .coroutines_per_worker = at_once});
  auto results = map(pool, function, inputs).get();
  meter::before_workers_end();
  return results;
}

namespace detail {

template <class T>
struct task_value;
template <class T>
struct task_value<task<T>> {
  using type = T;
};

template <class F, class Input>
task<typename task_value<std::invoke_result_t<F, Input>>::type> limited(semaphore& places, F function,
                                                                        Input input) {
  co_await places.async_acquire();
  // Given back on every way out, or the others would wait for ever.
  struct give_back {
    semaphore& places;
    ~give_back() { places.release(); }
  } const release{places};
  co_return co_await function(std::move(input));
}

template <class F, class Input>
auto all_limited(std::size_t at_once, F function, std::vector<Input> inputs)
    -> task<std::vector<typename task_value<std::invoke_result_t<F, Input>>::type>> {
  semaphore places(static_cast<std::ptrdiff_t>(at_once));
  std::vector<task<typename task_value<std::invoke_result_t<F, Input>>::type>> tasks;
  tasks.reserve(inputs.size());
  for (Input& input : inputs)
    tasks.push_back(limited<F, Input>(places, function, std::move(input)));
  co_return co_await gather(std::move(tasks));
}

} // namespace detail

// One loop on this thread, with at most `at_once` of the coroutines under way.
template <class F, class Input>
auto with_coroutines(std::size_t at_once, F function, const std::vector<Input>& inputs) {
  return fourfold::run(detail::all_limited(at_once, std::move(function), inputs));
}

} // namespace fourfold::tool
