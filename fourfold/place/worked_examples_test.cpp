// The textbook examples that all local places share, with their exact results: one function, many places.
#include <fourfold/io/tcp.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/place/map.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/thread/global_lock.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

namespace fourfold {
namespace {

using namespace std::chrono_literals;

// Sums of squares leave 64 bits behind.
__extension__ using wide = unsigned __int128;

std::string decimal(wide value) {
  std::string digits;
  do {
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
    value /= 10;
  } while (value != 0);
  return digits;
}

std::vector<std::string> decimals(const std::vector<wide>& values) {
  std::vector<std::string> texts;
  for (const wide value : values)
    texts.push_back(decimal(value));
  return texts;
}

template <class F, class Input>
auto sequentially(F function, const std::vector<Input>& inputs) {
  std::vector<std::invoke_result_t<F, Input>> results;
  for (const Input& input : inputs)
    results.push_back(function(input));
  return results;
}

// The coroutine form of a function: lets others run first, so that several are really under way at once.
template <auto function, class Input>
task<std::invoke_result_t<decltype(function), Input>> awaiting(Input input) {
  co_await yield();
  co_return function(input);
}

template <auto function, class Input>
auto on_this_loop(std::vector<Input> inputs)
    -> task<std::vector<std::invoke_result_t<decltype(function), Input>>> {
  co_return co_await map(loop::current(), function, inputs);
}

template <class Result, class Input>
task<std::vector<Result>> gathered(task<Result> (*function)(Input), std::vector<Input> inputs) {
  std::vector<task<Result>> tasks;
  for (Input& input : inputs)
    tasks.push_back(function(std::move(input)));
  co_return co_await gather(std::move(tasks));
}

// Runs `function` over the inputs in each place in turn, and gives each place's results to `check`.
template <auto function, class Input, class Check>
void in_every_place(const std::vector<Input>& inputs, Check check) {
  {
    SCOPED_TRACE("sequentially");
    check(sequentially(function, inputs));
  }
  {
    SCOPED_TRACE("on threads");
    thread_pool threads({.threads = 4});
    check(map(threads, function, inputs).get(60s));
  }
  {
    SCOPED_TRACE("on a loop");
    check(run(on_this_loop<function>(inputs)));
  }
  {
    SCOPED_TRACE("as coroutines");
    check(run(gathered(awaiting<function, Input>, inputs)));
  }
  process_pool processes({.workers = 4});
  {
    SCOPED_TRACE("in processes");
    check(map(processes, function, inputs).get(60s));
  }
  {
    SCOPED_TRACE("as coroutines in processes");
    check(map(processes, awaiting<function, Input>, inputs).get(60s));
  }
}

wide sum_of_squares_up_to(std::uint64_t last) {
  wide sum = 0;
  for (std::uint64_t number = 1; number <= last; ++number)
    sum += static_cast<wide>(number) * number;
  return sum;
}

TEST(worked_examples, x01_sums_of_squares_are_exact_in_every_place) {
  const std::vector<std::uint64_t> loads{10'000'000, 20'000'000, 30'000'000, 40'000'000};
  const std::vector<std::string> expected{"333333383333335000000", "2666666866666670000000",
                                          "9000000450000005000000", "21333334133333340000000"};
  in_every_place<sum_of_squares_up_to>(
      loads, [&](const std::vector<wide>& sums) { EXPECT_EQ(decimals(sums), expected); });
}

template <class Checkpoint>
unsigned count_primes_with(unsigned last, Checkpoint checkpoint) {
  unsigned count = 0;
  for (unsigned candidate = 2; candidate <= last; ++candidate) {
    unsigned divisor = 2;
    while (divisor * divisor <= candidate && candidate % divisor != 0)
      ++divisor;
    if (divisor * divisor > candidate)
      ++count;
    checkpoint();
  }
  return count;
}

unsigned count_primes(unsigned last) {
  return count_primes_with(last, [] {});
}

const std::vector<unsigned> four_limits(4, 100'000);
const std::vector<unsigned> four_counts(4, 9592);

TEST(worked_examples, x02_primes_are_counted_in_every_place) {
  in_every_place<count_primes>(four_limits,
                               [](const std::vector<unsigned>& counts) { EXPECT_EQ(counts, four_counts); });
}

TEST(worked_examples, x02_primes_are_counted_under_a_global_lock_by_one_thread_at_a_time) {
  global_lock lock(1ms);
  // Guarded by the lock alone: a second thread inside of it would be a data race and a wrong sum.
  std::uint64_t candidates = 0;
  const auto count_under_lock = [&](unsigned last) {
    const global_lock_guard guard(lock);
    return count_primes_with(last, [&] {
      ++candidates;
      lock.checkpoint();
    });
  };
  thread_pool threads({.threads = 4});
  EXPECT_EQ(map(threads, count_under_lock, four_limits).get(60s), four_counts);
  EXPECT_EQ(candidates, 4 * 99'999U);
}

wide sum_of_squares_below(std::uint64_t end) {
  wide sum = 0;
  for (std::uint64_t number = 0; number < end; ++number)
    sum += static_cast<wide>(number) * number;
  return sum;
}

TEST(worked_examples, x03_sums_of_squares_below_a_limit_are_exact_in_every_place) {
  const std::vector<std::uint64_t> ends{1'000'000, 2'000'000, 3'000'000, 10'000'000};
  const std::vector<std::string> expected{"333332833333500000", "2666664666667000000", "8999995500000500000",
                                          "333333283333335000000"};
  in_every_place<sum_of_squares_below>(
      ends, [&](const std::vector<wide>& sums) { EXPECT_EQ(decimals(sums), expected); });
}

std::string page_text(unsigned number) {
  return "page " + std::to_string(number) + ": " + std::string(1000 + number, 'p');
}

// Serves pages by HTTP on a loop and a thread of its own. It answers nothing before so many requests are
// under way at the same time as `at_once` says, so a client that asks for fewer at once would wait for ever.
class page_server {
 public:
  struct statistics {
    std::vector<unsigned> requests; // for each page
    unsigned most_at_once = 0;
  };

  page_server(unsigned pages, unsigned at_once) : at_once_(at_once), seen_{std::vector<unsigned>(pages), 0} {
    port_ = loop_
                ->submit([this] {
                  listener_.emplace(ip_endpoint::loopback(0));
                  return listener_->port();
                })
                .get(30s);
    serving_ = loop_->submit([this] { return serve(); });
  }

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] statistics seen() {
    return loop_->submit([this] { return seen_; }).get(30s);
  }

 private:
  task<> serve() {
    auto body = [this](task_group& connections) -> task<> {
      for (;;) {
        tcp_stream client = co_await listener_->accept();
        connections.spawn(answer(std::move(client)));
      }
    };
    co_await with_task_group(body);
  }

  task<> answer(tcp_stream client) {
    std::string request;
    std::array<char, 256> buffer{};
    while (!request.ends_with("\r\n\r\n")) {
      const std::size_t got = co_await client.read_some(std::span<char>(buffer));
      if (got == 0)
        co_return;
      request.append(buffer.data(), got);
    }
    const unsigned number = static_cast<unsigned>(std::stoul(request.substr(std::string("GET /").size())));
    ++seen_.requests.at(number);
    seen_.most_at_once = std::max(seen_.most_at_once, ++under_way_);
    if (under_way_ >= at_once_)
      enough_.set();
    co_await enough_.async_wait();
    co_await sleep(2ms); // the textbook's 0.1 s, scaled to a fiftieth
    --under_way_;
    const std::string response = "HTTP/1.0 200 OK\r\n\r\n" + page_text(number);
    co_await client.write_all(response);
  }

  const unsigned at_once_;
  unsigned under_way_ = 0;
  event enough_;
  statistics seen_;
  std::optional<tcp_listener> listener_;
  std::uint16_t port_ = 0;
  std::optional<future<void>> serving_;
  test::loop_thread loop_; // last: it ends before what it uses
};

struct page_request {
  std::uint16_t port = 0;
  unsigned number = 0;
};

task<std::string> fetch(page_request page) {
  tcp_stream server = co_await tcp_stream::connect(ip_endpoint::loopback(page.port));
  const std::string request = "GET /" + std::to_string(page.number) + " HTTP/1.0\r\n\r\n";
  co_await server.write_all(request);
  std::string response;
  std::array<char, 4096> buffer{};
  for (;;) {
    const std::size_t got = co_await server.read_some(std::span<char>(buffer));
    if (got == 0)
      break;
    response.append(buffer.data(), got);
  }
  const std::string_view header = "HTTP/1.0 200 OK\r\n\r\n";
  if (!response.starts_with(header))
    throw std::runtime_error("not an answer: " + response.substr(0, 100));
  co_return response.substr(header.size());
}

std::string fetch_blocking(page_request page) { return run(fetch(page)); }

// Fetches ten pages by `fetch_all`; every page must come whole and once, and exactly `at_once` at a time.
template <class FetchAll>
void expect_ten_pages(unsigned at_once, FetchAll fetch_all) {
  constexpr unsigned pages = 10;
  page_server server(pages, at_once);
  std::vector<page_request> requests;
  std::vector<std::string> expected;
  for (unsigned number = 0; number < pages; ++number) {
    requests.push_back({server.port(), number});
    expected.push_back(page_text(number));
  }
  EXPECT_EQ(fetch_all(requests), expected);
  const page_server::statistics seen = server.seen();
  EXPECT_EQ(seen.requests, std::vector<unsigned>(pages, 1));
  EXPECT_EQ(seen.most_at_once, at_once);
}

TEST(worked_examples, x04_ten_pages_are_fetched_one_at_a_time_sequentially) {
  expect_ten_pages(
      1, [](const std::vector<page_request>& requests) { return sequentially(fetch_blocking, requests); });
}

TEST(worked_examples, x04_ten_pages_are_fetched_five_at_a_time_by_five_threads) {
  expect_ten_pages(5, [](const std::vector<page_request>& requests) {
    thread_pool threads({.threads = 5});
    return map(threads, fetch_blocking, requests).get(60s);
  });
}

TEST(worked_examples, x04_ten_pages_are_fetched_all_at_once_by_coroutines) {
  expect_ten_pages(10,
                   [](const std::vector<page_request>& requests) { return run(gathered(fetch, requests)); });
}

TEST(worked_examples, x04_ten_pages_are_fetched_by_coroutines_in_two_processes_as_many_as_each_may_run) {
  expect_ten_pages(6, [](const std::vector<page_request>& requests) {
    process_pool processes({.workers = 2, .coroutines_per_worker = 3});
    return map(processes, fetch, requests).get(60s);
  });
}

struct matrix {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<double> values;

  double& at(std::size_t row, std::size_t column) { return values[row * columns + column]; }
  [[nodiscard]] double at(std::size_t row, std::size_t column) const {
    return values[row * columns + column];
  }
  bool operator==(const matrix&) const = default;
};

template <class Value>
matrix make_matrix(std::size_t rows, std::size_t columns, Value value) {
  matrix made{rows, columns, std::vector<double>(rows * columns)};
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column)
      made.at(row, column) = value(static_cast<double>(row), static_cast<double>(column));
  }
  return made;
}

struct factors {
  matrix left;
  matrix right;
};

matrix product(const factors& two) {
  const auto& [left, right] = two;
  if (left.columns != right.rows) {
    throw std::invalid_argument("a matrix of " + std::to_string(left.columns) +
                                " columns cannot be multiplied by one of " + std::to_string(right.rows) +
                                " rows");
  }
  matrix result{left.rows, right.columns, std::vector<double>(left.rows * right.columns)};
  for (std::size_t row = 0; row < left.rows; ++row) {
    for (std::size_t inner = 0; inner < right.rows; ++inner) {
      for (std::size_t column = 0; column < right.columns; ++column)
        result.at(row, column) += left.at(row, inner) * right.at(inner, column);
    }
  }
  return result;
}

std::vector<factors> in_four_chunks(const matrix& left, const matrix& right) {
  std::vector<factors> chunks;
  const std::size_t rows = left.rows / 4;
  for (std::size_t first = 0; first < left.rows; first += rows) {
    const auto begin = left.values.begin() + static_cast<std::ptrdiff_t>(first * left.columns);
    chunks.push_back(
        {{rows, left.columns, {begin, begin + static_cast<std::ptrdiff_t>(rows * left.columns)}}, right});
  }
  return chunks;
}

matrix stacked(const std::vector<matrix>& chunks) {
  matrix whole{0, chunks.front().columns, {}};
  for (const matrix& chunk : chunks) {
    whole.rows += chunk.rows;
    whole.values.insert(whole.values.end(), chunk.values.begin(), chunk.values.end());
  }
  return whole;
}

TEST(worked_examples, x05_a_matrix_product_in_four_chunks_is_exact_in_every_place) {
  // All values are integers far below 2^53, so doubles are exact.
  const matrix left = make_matrix(100, 100, [](double i, double k) { return i + 2 * k; });
  const matrix right = make_matrix(100, 100, [](double k, double j) { return k - j; });
  // Σk (i + 2k)(k - j) over k < 100, with Σ1 = 100, Σk = 4950, Σk² = 328350.
  const matrix expected = make_matrix(
      100, 100, [](double i, double j) { return 4950 * i - 100 * i * j + 2 * 328350 - 2 * 4950 * j; });
  ASSERT_EQ(product({left, right}), expected);
  in_every_place<product>(in_four_chunks(left, right), [&](const std::vector<matrix>& chunks) {
    ASSERT_EQ(chunks.size(), 4U);
    EXPECT_EQ(stacked(chunks), expected);
  });
}

template <class Multiply>
void expect_dimension_error(Multiply multiply) {
  try {
    multiply();
    FAIL() << "dimensions that do not fit were multiplied";
  } catch (const std::invalid_argument& e) {
    EXPECT_STREQ(e.what(), "a matrix of 100 columns cannot be multiplied by one of 99 rows");
  }
}

TEST(worked_examples, x05_dimensions_that_do_not_fit_are_an_invalid_argument_across_the_process_boundary) {
  const auto value = [](double i, double j) { return i * j; };
  const auto chunks = in_four_chunks(make_matrix(100, 100, value), make_matrix(99, 100, value));
  process_pool processes({.workers = 2});
  expect_dimension_error([&] { processes.submit(product, chunks.front()).get(60s); });
  expect_dimension_error([&] { map(processes, product, chunks).get(60s); });
  expect_dimension_error([&] { map(processes, awaiting<product, factors>, chunks).get(60s); });
  thread_pool threads({.threads = 4});
  expect_dimension_error([&] { map(threads, product, chunks).get(60s); });
}

double mean(const std::vector<int>& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), 0.0) / static_cast<double>(numbers.size());
}

std::vector<std::vector<int>> four_thousands() {
  std::vector<std::vector<int>> chunks;
  for (int first = 0; first < 4000; first += 1000) {
    chunks.emplace_back(1000);
    std::iota(chunks.back().begin(), chunks.back().end(), first);
  }
  return chunks;
}

const std::vector<double> four_means{499.5, 1499.5, 2499.5, 3499.5};

TEST(worked_examples, x07_means_of_four_chunks_come_from_a_process_pool_to_a_loop) {
  auto main = []() -> task<std::vector<double>> {
    process_pool processes({.workers = 4});
    std::vector<future<double>> calls;
    for (const std::vector<int>& chunk : four_thousands())
      calls.push_back(processes.submit(mean, chunk));
    std::vector<double> means;
    for (future<double>& call : calls)
      means.push_back(co_await call);
    EXPECT_EQ(co_await map(processes, mean, four_thousands()), means);
    co_return means;
  };
  EXPECT_EQ(run(main()), four_means);
}

TEST(worked_examples, x07_means_of_four_chunks_are_exact_in_every_place) {
  in_every_place<mean>(four_thousands(),
                       [](const std::vector<double>& means) { EXPECT_EQ(means, four_means); });
}

// F05: each of a chunk's three parts waits (the textbook's second, scaled to a two-hundredth) and then sums
// the squares of the whole chunk.
struct number_chunk {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
struct chunk_sum {
  std::uint64_t sum = 0;
  unsigned most_waiting = 0;
  pid_t process = 0;
};
constexpr unsigned parts_of_chunk = 3;
constexpr auto part_wait = 5ms;
constexpr std::uint64_t hybrid_total = 64'024'002'000;

std::vector<number_chunk> four_chunks() { return {{1, 1000}, {1001, 2000}, {2001, 3000}, {3001, 4000}}; }

std::uint64_t squares_of(number_chunk chunk) {
  std::uint64_t sum = 0;
  for (std::uint64_t number = chunk.first; number <= chunk.last; ++number)
    sum += number * number;
  return sum;
}

chunk_sum chunk_blocking(number_chunk chunk) {
  chunk_sum result{0, 1, ::getpid()};
  for (unsigned part = 0; part < parts_of_chunk; ++part) {
    std::this_thread::sleep_for(part_wait);
    result.sum += squares_of(chunk);
  }
  return result;
}

task<std::uint64_t> part_awaiting(number_chunk chunk, unsigned& waiting, unsigned& most_waiting) {
  most_waiting = std::max(most_waiting, ++waiting);
  co_await sleep(part_wait);
  --waiting;
  co_return squares_of(chunk);
}

task<chunk_sum> chunk_awaiting(number_chunk chunk) {
  static unsigned waiting = 0; // in this process
  unsigned most_waiting = 0;
  std::vector<task<std::uint64_t>> parts;
  for (unsigned part = 0; part < parts_of_chunk; ++part)
    parts.push_back(part_awaiting(chunk, waiting, most_waiting));
  const auto sums = co_await gather(std::move(parts));
  co_return chunk_sum{std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}), most_waiting, ::getpid()};
}

std::uint64_t total(const std::vector<chunk_sum>& chunks) {
  std::uint64_t sum = 0;
  for (const chunk_sum& chunk : chunks)
    sum += chunk.sum;
  return sum;
}

unsigned most_waiting(const std::vector<chunk_sum>& chunks) {
  unsigned most = 0;
  for (const chunk_sum& chunk : chunks)
    most = std::max(most, chunk.most_waiting);
  return most;
}

TEST(worked_examples, f05_the_hybrid_waits_for_three_parts_at_once_in_each_of_two_processes) {
  process_pool processes({.workers = 2, .coroutines_per_worker = 1});
  const auto chunks = map(processes, chunk_awaiting, four_chunks()).get(60s);
  while (processes.worker_pids().size() < 2) // results may be there before the pool has heard of a worker
    std::this_thread::yield();
  const std::vector<pid_t> pids = processes.worker_pids();
  const std::set<pid_t> workers(pids.begin(), pids.end());
  EXPECT_EQ(workers.size(), 2U);
  EXPECT_EQ(total(chunks), hybrid_total);
  for (const chunk_sum& chunk : chunks) {
    EXPECT_EQ(chunk.most_waiting, parts_of_chunk);
    EXPECT_TRUE(workers.contains(chunk.process));
  }
}

TEST(worked_examples, f05_the_total_is_the_same_in_every_place) {
  EXPECT_EQ(total(sequentially(chunk_blocking, four_chunks())), hybrid_total);
  {
    thread_pool threads({.threads = 2});
    EXPECT_EQ(total(map(threads, chunk_blocking, four_chunks()).get(60s)), hybrid_total);
  }
  {
    process_pool processes({.workers = 2});
    EXPECT_EQ(total(map(processes, chunk_blocking, four_chunks()).get(60s)), hybrid_total);
  }
  const auto all_at_once = run(gathered(chunk_awaiting, four_chunks()));
  EXPECT_EQ(total(all_at_once), hybrid_total);
  EXPECT_EQ(most_waiting(all_at_once), 4 * parts_of_chunk);
}

} // namespace
} // namespace fourfold
