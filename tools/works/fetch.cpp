// X04: ten fetches of 0.1 s; and a thousand pages with at most 100 at once.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "page_client.hpp"
#include "page_server.hpp"
#include "text.hpp"
#include "work.hpp"
#include "works/digest.hpp"
#include "works/models.hpp"

namespace fourfold::tool {
namespace {

using namespace std::chrono_literals;

// The pages of one run. Several clients take numbers from it, each with a connection of its own, until none
// is left.
class page_list {
 public:
  page_list(page_server& server, std::size_t pages, std::chrono::microseconds wait)
      : address_{server.port(), server.new_job(), wait.count()}, digests_(pages) {}

  const page_address& address() const { return address_; }
  // The next page that nobody has taken; false at the end.
  bool take(unsigned& number) {
    number = next_.fetch_add(1, std::memory_order_relaxed); // a counter only: it publishes nothing
    return number < digests_.size();
  }
  // From any thread: each page has a place of its own.
  void store(unsigned number, const std::string& body) {
    digests_[number] = sha256_of(body);
    bytes_.fetch_add(body.size(), std::memory_order_relaxed);
  }
  // Asks the server, too, that it was asked for every page once and for no more than `clients` at a time.
  std::string result(std::size_t clients) const {
    check_each_once(address_, digests_.size(), clients);
    sha256 all;
    for (const digest& one : digests_)
      all.add(one.data(), one.size());
    return fmt::format("{} pages, each once, {}, SHA-256 {}", digests_.size(), bytes_text(bytes_),
                       hexadecimal(all.finish()).substr(0, 16));
  }

 private:
  page_address address_;
  std::vector<digest> digests_;
  std::atomic<unsigned> next_{0};
  std::atomic<std::uint64_t> bytes_{0};
};

void fetch_pages(page_list& pages) {
  blocking_page_client client(pages.address());
  for (unsigned number = 0; pages.take(number);)
    pages.store(number, client.get(number));
}

task<void> fetch_pages_awaiting(page_list& pages) {
  async_page_client client(pages.address());
  for (unsigned number = 0; pages.take(number);)
    pages.store(number, co_await client.get(number));
}

task<void> fetch_with_clients(page_list& pages, std::size_t clients) {
  std::vector<task<void>> tasks;
  tasks.reserve(clients);
  for (std::size_t client = 0; client < clients; ++client)
    tasks.push_back(fetch_pages_awaiting(pages));
  co_await gather(std::move(tasks));
}

struct fetch_job {
  page_server& server;
  std::size_t pages;
  std::chrono::microseconds wait;

  model sequential() const {
    return {"sequential", model_kind::sequential, [job = *this] {
              page_list list(job.server, job.pages, job.wait);
              fetch_pages(list);
              return list.result(1);
            }};
  }
  model threads(unsigned count) const {
    return {fmt::format("threads ({})", count), model_kind::threads, [job = *this, count] {
              page_list list(job.server, job.pages, job.wait);
              {
                thread_pool pool({.threads = count});
                std::vector<future<void>> clients;
                clients.reserve(count);
                for (unsigned client = 0; client < count; ++client) {
                  clients.push_back(pool.submit([&list] { fetch_pages(list); }));
                }
                for (future<void>& client : clients)
                  client.get();
              }
              return list.result(count);
            }};
  }
  model coroutines(std::size_t at_once) const {
    return {fmt::format("coroutines ({})", at_once), model_kind::coroutines,
            [job = *this, at_once] {
              page_list list(job.server, job.pages, job.wait);
              fourfold::run(fetch_with_clients(list, at_once));
              return list.result(at_once);
            },
            "one thread, one loop"};
  }
};

std::string title(std::size_t pages, std::chrono::microseconds wait) {
  return fmt::format("GET {} pages of 10 kB from a local server that takes {} for each", count_text(pages),
                     wait_text(wait));
}

part ten(const settings& chosen, double) {
  const fetch_job job{*chosen.server, 10, chosen.latency.value_or(100ms)};
  part made;
  made.title = title(job.pages, job.wait);
  made.models = {job.sequential(), job.threads(5), job.coroutines(10)};
  return made;
}

part thousand(const settings& chosen, double seconds) {
  constexpr std::size_t all_pages = 1000;
  constexpr std::size_t fewest_pages = 100;
  const std::chrono::microseconds wait = chosen.latency.value_or(5ms);
  // A page costs its wait divided by the clients of each model, and some 0.3 ms of exchange in each of the
  // four.
  const double per_page =
      static_cast<double>(wait.count()) * 1e-6 * (1 + 1 / 5.0 + 1 / 50.0 + 1 / 100.0) + 4 * 0.3e-3;
  std::size_t pages = all_pages;
  if (std::isfinite(seconds)) {
    pages = static_cast<std::size_t>(std::clamp(seconds / per_page, double{fewest_pages}, double{all_pages}));
  }
  const fetch_job job{*chosen.server, pages, wait};
  part made;
  made.title = title(pages, wait);
  made.models = {job.sequential(), job.threads(5), job.threads(50), job.coroutines(100)};
  made.notes.push_back("the server is a process of its own; what it uses is not counted");
  if (pages < all_pages) {
    made.notes.push_back(fmt::format("{} pages instead of {}, to keep within --seconds", pages, all_pages));
  }
  return made;
}

} // namespace

work fetch_work() {
  return {"fetch",
          "10 and 1000 pages by HTTP from a local server: nothing but waiting",
          {{"ten", 1.4, ten}, {"thousand", 7, thousand}},
          true};
}

} // namespace fourfold::tool
