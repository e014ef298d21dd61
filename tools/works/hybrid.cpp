// F05: waits and computing together, with made-up waits; and the same with real sockets and real computing.
#include <fourfold/loop/sleep.hpp>

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
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

constexpr unsigned chunk_processes = 2;
constexpr unsigned parts_of_chunk = 3;

// Each of a chunk's three parts waits and then sums the squares of the whole chunk.
struct chunk {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::int64_t wait_microseconds = 0;
};

std::vector<chunk> chunks(std::chrono::microseconds wait) {
  std::vector<chunk> all;
  for (std::uint64_t first = 1; first <= 3001; first += 1000)
    all.push_back({first, first + 999, wait.count()});
  return all;
}

std::uint64_t squares_of(const chunk& one) {
  std::uint64_t sum = 0;
  for (std::uint64_t number = one.first; number <= one.last; ++number)
    sum += number * number;
  return sum;
}

std::uint64_t chunk_blocking(chunk one) {
  std::uint64_t sum = 0;
  for (unsigned index = 0; index < parts_of_chunk; ++index) {
    std::this_thread::sleep_for(std::chrono::microseconds(one.wait_microseconds));
    sum += squares_of(one);
  }
  return sum;
}

task<std::uint64_t> part_awaiting(chunk one) {
  co_await sleep(std::chrono::microseconds(one.wait_microseconds));
  co_return squares_of(one);
}

task<std::uint64_t> chunk_awaiting(chunk one) {
  std::vector<task<std::uint64_t>> parts;
  parts.reserve(parts_of_chunk);
  for (unsigned index = 0; index < parts_of_chunk; ++index)
    parts.push_back(part_awaiting(one));
  const std::vector<std::uint64_t> sums = co_await gather(std::move(parts));
  co_return std::accumulate(sums.begin(), sums.end(), std::uint64_t{0});
}

std::string total(const std::vector<std::uint64_t>& sums) {
  return std::to_string(std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}));
}

part textbook(const settings& chosen, double seconds) {
  std::chrono::microseconds wait = chosen.latency.value_or(100ms);
  part made;
  // 12, 6, 4 and 2 waits, one after the other.
  if (!chosen.latency && std::isfinite(seconds)) {
    wait = std::clamp(std::chrono::microseconds(std::llround(seconds * 1e3 / 24) * 1000),
                      std::chrono::microseconds(10ms), wait);
  }
  const std::string shown_wait = wait_text(wait);
  if (wait != 1s) {
    made.notes.push_back(
        fmt::format("the textbook waits 1 s instead of {}: 2.0 s as the hybrid, 6.0 s with processes "
                    "alone; --latency 1000 does",
                    shown_wait));
  }
  made.title = fmt::format("4 chunks in 2 processes with 3 coroutines each; each waits {} and sums squares",
                           shown_wait);
  made.expected = "64024002000";
  const std::vector<chunk> inputs = chunks(wait);
  made.models = {
      {"sequential", model_kind::sequential, [=] { return total(sequentially(chunk_blocking, inputs)); }},
      {"processes", model_kind::processes,
       [=] { return total(in_processes(chunk_processes, chunk_blocking, inputs)); },
       "2, a wait at a time in each"},
      {"coroutines", model_kind::coroutines,
       [=] { return total(with_coroutines(1, chunk_awaiting, inputs)); },
       "1 process, a chunk at a time, 3 waits at once"},
      {"hybrid", model_kind::hybrid,
       [=] { return total(in_processes(chunk_processes, chunk_awaiting, inputs, 1)); },
       "2 processes, a chunk at a time in each, 3 waits at once"},
  };
  return made;
}

// A page that is fetched and then archived: compressed at every level that takes its time, the smallest kept.
struct page_job {
  page_address address;
  unsigned number = 0;
};

digest archived(const std::string& page) {
  constexpr int first_level = 10;
  constexpr int last_level = 19;
  std::string best;
  std::string attempt(::ZSTD_compressBound(page.size()), '\0');
  for (int level = first_level; level <= last_level; ++level) {
    const std::size_t size = ::ZSTD_compress(attempt.data(), attempt.size(), page.data(), page.size(), level);
    if (::ZSTD_isError(size) != 0)
      throw std::runtime_error(std::string("zstd: ") + ::ZSTD_getErrorName(size));
    if (best.empty() || size < best.size())
      best = attempt.substr(0, size);
  }
  return sha256_of(best);
}

digest archive_page(page_job job) { return archived(blocking_page_client(job.address).get(job.number)); }

task<digest> archive_page_awaiting(page_job job) {
  async_page_client client(job.address);
  const std::string page = co_await client.get(job.number);
  co_return archived(page);
}

struct pages_job {
  page_server& server;
  unsigned pages;
  std::chrono::microseconds wait;

  // Runs `run` over the pages and checks that the server saw what it should.
  template <class Run>
  std::string done_by(std::size_t at_once, Run run) const {
    const page_address address{server.port(), server.new_job(), wait.count()};
    std::vector<page_job> inputs;
    inputs.reserve(pages);
    for (unsigned number = 0; number < pages; ++number)
      inputs.push_back({address, number});
    const std::vector<digest> digests = run(inputs);
    check_each_once(address, pages, at_once);
    sha256 all;
    for (const digest& one : digests)
      all.add(one.data(), one.size());
    return fmt::format("{} pages, each once, SHA-256 of the archive {}", pages,
                       hexadecimal(all.finish()).substr(0, 16));
  }
};

part pages(const settings& chosen, double seconds) {
  constexpr unsigned all_pages = 100;
  constexpr unsigned fewest_pages = 20;
  constexpr double usual_seconds = 6;
  unsigned count = all_pages;
  if (std::isfinite(seconds)) {
    count = static_cast<unsigned>(
        std::clamp(all_pages * seconds / usual_seconds, double{fewest_pages}, double{all_pages}));
  }
  const pages_job job{*chosen.server, count, chosen.latency.value_or(20ms)};
  const unsigned workers = chosen.workers;
  // The same number of pages under way in both, so that only the computing differs.
  const std::size_t per_worker = std::max<std::size_t>(1, 50 / workers);
  const std::size_t at_once = per_worker * workers;
  part made;
  made.title = fmt::format("GET {} pages that take {} each and compress each at 10 levels", count,
                           wait_text(job.wait));
  made.models = {
      {"sequential", model_kind::sequential,
       [=] { return job.done_by(1, [](const auto& inputs) { return sequentially(archive_page, inputs); }); }},
      {"processes", model_kind::processes,
       [=] {
         return job.done_by(workers,
                            [=](const auto& inputs) { return in_processes(workers, archive_page, inputs); });
       },
       "a page at a time in each"},
      {"coroutines", model_kind::coroutines,
       [=] {
         return job.done_by(at_once, [=](const auto& inputs) {
           return with_coroutines(at_once, archive_page_awaiting, inputs);
         });
       },
       fmt::format("1 process, {} pages at once", at_once)},
      {"hybrid", model_kind::hybrid,
       [=] {
         return job.done_by(at_once, [=](const auto& inputs) {
           return in_processes(workers, archive_page_awaiting, inputs, per_worker);
         });
       },
       fmt::format("{} processes, {} pages at once in each", workers, per_worker)},
  };
  if (count < all_pages) {
    made.notes.push_back(fmt::format("{} pages instead of {}, to keep within --seconds", count, all_pages));
  }
  return made;
}

} // namespace

work hybrid_work() {
  return {"hybrid",
          "waiting and computing together: made-up waits, and real pages compressed hard",
          {{"textbook", 2.4, textbook}, {"pages", 6, pages}},
          true};
}

} // namespace fourfold::tool
