// Gets pages from the page server: the same exchange for a thread, which blocks, and for a coroutine, which
// awaits.
//
// A page that does not arrive in 10 s, has another status than 200 or is not byte for byte what its number
// says is an error (std::runtime_error, std::system_error, timed_out) that names it.
#pragma once

#include <fourfold/io/tcp.hpp>
#include <fourfold/loop/task.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "http_message.hpp"

namespace fourfold::tool {

inline constexpr std::chrono::seconds page_time_limit{10};

// Where the pages of one job are; small and trivially copyable, so that it can go to another process.
struct page_address {
  std::uint16_t port = 0;
  std::uint64_t job = 0;
  std::int64_t wait_microseconds = 0;
};

// One connection, kept open from page to page. Blocks the calling thread.
class blocking_page_client {
 public:
  explicit blocking_page_client(page_address address);
  ~blocking_page_client();
  blocking_page_client(const blocking_page_client&) = delete;
  blocking_page_client& operator=(const blocking_page_client&) = delete;

  std::string get(unsigned number);
  // The body at any target of the server.
  std::string get_target(const std::string& target);

 private:
  page_address address_;
  int socket_ = -1;
  http_reader reader_{http_reader::side::responses};
};

// The same on the current loop. Connects with its first page.
class async_page_client {
 public:
  explicit async_page_client(page_address address) : address_(address) {}

  task<std::string> get(unsigned number);

 private:
  task<void> exchange(std::string request);

  page_address address_;
  std::optional<tcp_stream> stream_;
  http_reader reader_{http_reader::side::responses};
};

// What the server saw of a job.
struct job_statistics {
  std::size_t requests = 0;
  std::size_t different_pages = 0;
  std::size_t most_at_once = 0;
};
job_statistics statistics_of(page_address address);

// Throws unless the server was asked for each of `pages` pages exactly once, and never for more than `limit`
// at once.
void check_each_once(page_address address, std::size_t pages, std::size_t limit);

} // namespace fourfold::tool
