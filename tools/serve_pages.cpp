#include "serve_pages.hpp"

#include <fourfold/io/tcp.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task_group.hpp>

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <unordered_map>

#include "errors.hpp"
#include "http_message.hpp"
#include "page_text.hpp"
#include "terminal.hpp"

namespace fourfold::tool {
namespace {

struct job_record {
  std::size_t requests = 0;
  std::size_t at_once = 0;
  std::size_t most_at_once = 0;
  std::set<unsigned> pages;
};
using job_records = std::unordered_map<std::uint64_t, job_record>;

struct page_request {
  std::uint64_t job = 0;
  unsigned number = 0;
  std::chrono::microseconds wait{};
};

// Takes `prefix` and a number off the front of `text`.
template <class Number>
bool take(std::string_view& text, std::string_view prefix, Number& number) {
  if (!text.starts_with(prefix))
    return false;
  const char* const begin = text.data() + prefix.size();
  const auto [end, failure] = std::from_chars(begin, text.data() + text.size(), number);
  if (failure != std::errc{})
    return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

std::optional<page_request> parse_page_request(std::string_view target) {
  page_request request;
  long wait = 0;
  if (!take(target, "/pages/", request.job) || !take(target, "/", request.number))
    return std::nullopt;
  if (!target.empty() && !take(target, "?wait=", wait))
    return std::nullopt;
  if (!target.empty() || wait < 0)
    return std::nullopt;
  request.wait = std::chrono::microseconds(wait);
  return request;
}

std::string response(std::string_view status, std::string_view body, bool keep_alive) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n{}", status,
      body.size(), keep_alive ? "keep-alive" : "close", body);
}

task<std::string> answer(std::string target, bool keep_alive, job_records& jobs) {
  std::string_view rest = target;
  std::uint64_t job = 0;
  if (take(rest, "/jobs/", job) && rest.empty()) {
    const job_record& record = jobs[job];
    const std::string text =
        fmt::format("{} {} {}\n", record.requests, record.pages.size(), record.most_at_once);
    co_return response("200 OK", text, keep_alive);
  }
  const std::optional<page_request> request = parse_page_request(target);
  if (!request)
    co_return response("404 Not Found", "no such page\n", keep_alive);

  // References into an unordered_map stay valid while it grows.
  job_record& record = jobs[request->job];
  ++record.requests;
  record.pages.insert(request->number);
  record.most_at_once = std::max(record.most_at_once, ++record.at_once);
  if (request->wait.count() > 0)
    co_await sleep(request->wait);
  --record.at_once;
  co_return response("200 OK", page_text(request->number), keep_alive);
}

task<void> serve_connection(tcp_stream stream, job_records& jobs) {
  try {
    http_reader reader(http_reader::side::requests);
    std::array<std::byte, 4096> buffer;
    for (;;) {
      const std::size_t got = co_await stream.read_some(buffer);
      if (got == 0)
        co_return;
      std::string_view bytes(reinterpret_cast<const char*>(buffer.data()), got);
      while (!bytes.empty()) {
        bytes.remove_prefix(reader.feed(bytes));
        if (!reader.complete())
          continue;
        const bool keep_alive = reader.keeps_alive();
        const std::string text = co_await answer(reader.target(), keep_alive, jobs);
        co_await stream.write_all(text);
        if (!keep_alive)
          co_return;
        reader.next();
      }
    }
  } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): nobody is there to be told
    // A client that went away or spoke no HTTP ends its own connection only.
  }
}

// A struct and not a lambda: what a coroutine refers to must not be captured by a closure that may end before
// it.
struct accept_connections {
  tcp_listener& listener;
  job_records& jobs;
  task<void> operator()(task_group& connections) const {
    for (;;) {
      tcp_stream stream = co_await listener.accept();
      connections.spawn(serve_connection(std::move(stream), jobs));
    }
  }
};

// Returns only when it cannot listen.
task<void> serve(std::uint16_t port) {
  job_records jobs;
  std::optional<tcp_listener> listener;
  try {
    listener.emplace(ip_endpoint::loopback(port));
  } catch (const std::system_error& error) {
    write_all(STDOUT_FILENO, fmt::format("error {}\n", error.code().message()));
    co_return;
  }
  write_all(STDOUT_FILENO, fmt::format("listening {}\n", listener->port()));
  const accept_connections body{*listener, jobs};
  co_await with_task_group(body);
}

// Two ways to notice that the parent has ended: the kernel's signal, and the end of the pipe that only the
// parent writes to. The signal alone would miss a parent that ended before prctl() was called.
void end_with_parent() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::thread([] {
    std::array<char, 64> ignored;
    while (::read(STDIN_FILENO, ignored.data(), ignored.size()) > 0) {
    }
    ::_exit(0);
  }).detach();
}

} // namespace

serve_pages_command::serve_pages_command(CLI::App& program) {
  command_ = program.add_subcommand("serve-pages", "Serve the pages of the fetching works")->group("");
  command_->add_option("--port", port_);
}

int serve_pages_command::run() {
  ::signal(SIGINT, SIG_IGN); // Ctrl-C reaches the whole foreground group; the parent decides when this ends
  ::signal(SIGPIPE, SIG_IGN);
  end_with_parent();
  fourfold::run(serve(port_));
  return exit_unusable;
}

} // namespace fourfold::tool
