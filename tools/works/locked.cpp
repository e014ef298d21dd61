// G03: the textbook's table. The same threads do computing work and waiting work, with and without a global
// lock around everything, beside processes, coroutines and the hybrid.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <string>
#include <vector>

#include "page_client.hpp"
#include "page_server.hpp"
#include "text.hpp"
#include "work.hpp"
#include "works/models.hpp"
#include "works/primes.hpp"

namespace fourfold::tool {
namespace {

using namespace std::chrono_literals;

constexpr unsigned tasks = 8;
constexpr unsigned limit = 300'000; // below it are 25 997 primes

std::string shown(const std::vector<unsigned>& counts) { return fmt::format("{}", fmt::join(counts, " ")); }

task<unsigned> count_primes_awaiting(unsigned last) { co_return count_primes(last); }

part computing(const settings& chosen, double) {
  const std::vector<unsigned> limits(tasks, limit);
  const unsigned workers = chosen.workers;
  part job;
  job.title = fmt::format("Compute: count the primes up to {}, {} times", count_text(limit), tasks);
  job.expected = shown(std::vector<unsigned>(tasks, 25'997));
  job.models = {
      {"sequential", model_kind::sequential, [=] { return shown(sequentially(count_primes, limits)); }},
      {"threads", model_kind::threads, [=] { return shown(on_threads(workers, count_primes, limits)); }},
      {"threads (global lock)", model_kind::locked_threads,
       [=] {
         global_lock lock;
         const auto locked = [&lock](unsigned last) { return count_primes_under(lock, last); };
         return shown(on_threads(workers, locked, limits));
       },
       "the lock is held while computing and handed over every 5 ms"},
      {"processes", model_kind::processes,
       [=] { return shown(in_processes(workers, count_primes, limits)); }},
      {"coroutines", model_kind::coroutines,
       [=] { return shown(with_coroutines(tasks, count_primes_awaiting, limits)); }, "one thread"},
      {"hybrid", model_kind::hybrid,
       [=] { return shown(in_processes(workers, count_primes_awaiting, limits, tasks)); }},
  };
  return job;
}

struct waiting_task {
  page_address address;
  unsigned number = 0;
};

unsigned fetch_size(waiting_task one) {
  return static_cast<unsigned>(blocking_page_client(one.address).get(one.number).size());
}

unsigned fetch_size_under(global_lock& lock, waiting_task one) {
  const global_lock_guard guard(lock);
  std::string body;
  {
    const global_lock_release released(lock);
    body = blocking_page_client(one.address).get(one.number);
  }
  return static_cast<unsigned>(body.size());
}

task<unsigned> fetch_size_awaiting(waiting_task one) {
  async_page_client client(one.address);
  const std::string body = co_await client.get(one.number);
  co_return static_cast<unsigned>(body.size());
}

std::vector<waiting_task> waiting_tasks(page_server& server, std::chrono::microseconds wait) {
  const page_address address{server.port(), server.new_job(), wait.count()};
  std::vector<waiting_task> all;
  all.reserve(tasks);
  for (unsigned number = 0; number < tasks; ++number)
    all.push_back({address, number});
  return all;
}

std::string checked(const std::vector<unsigned>& sizes, const std::vector<waiting_task>& inputs,
                    std::size_t at_once) {
  check_each_once(inputs.front().address, inputs.size(), at_once);
  return fmt::format("{} bytes", fmt::join(sizes, " "));
}

part waiting(const settings& chosen, double) {
  const unsigned workers = chosen.workers;
  const std::chrono::microseconds wait = chosen.latency.value_or(100ms);
  page_server& server = *chosen.server;
  const auto inputs = [&server, wait] { return waiting_tasks(server, wait); };
  part job;
  job.title =
      fmt::format("Wait: GET {} pages from a local server that takes {} for each", tasks, wait_text(wait));
  job.models = {
      {"sequential", model_kind::sequential,
       [=] {
         const auto pages = inputs();
         return checked(sequentially(fetch_size, pages), pages, 1);
       }},
      {"threads", model_kind::threads,
       [=] {
         const auto pages = inputs();
         return checked(on_threads(workers, fetch_size, pages), pages, workers);
       }},
      {"threads (global lock)", model_kind::locked_threads,
       [=] {
         const auto pages = inputs();
         global_lock lock;
         const auto locked = [&lock](waiting_task one) { return fetch_size_under(lock, one); };
         return checked(on_threads(workers, locked, pages), pages, workers);
       },
       "the lock is released around each wait"},
      {"processes", model_kind::processes,
       [=] {
         const auto pages = inputs();
         return checked(in_processes(workers, fetch_size, pages), pages, workers);
       }},
      {"coroutines", model_kind::coroutines,
       [=] {
         const auto pages = inputs();
         return checked(with_coroutines(tasks, fetch_size_awaiting, pages), pages, tasks);
       },
       "one thread"},
      {"hybrid", model_kind::hybrid,
       [=] {
         const auto pages = inputs();
         return checked(in_processes(workers, fetch_size_awaiting, pages, tasks), pages, tasks);
       }},
  };
  return job;
}

} // namespace

work locked_work() {
  return {"locked",
          "the textbook's table: computing and waiting, with and without a global lock",
          {{"computing", 1.2, computing}, {"waiting", 2.5, waiting}},
          true};
}

} // namespace fourfold::tool
