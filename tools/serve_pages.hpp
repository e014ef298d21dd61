// `fourfold serve-pages`: the HTTP server that the fetching works talk to, as a process of its own, so that
// what it costs is not counted as the client's. A hidden subcommand: page_server starts it.
//
//   GET /pages/<job>/<number>?wait=<microseconds>   the page, after that wait
//   GET /jobs/<job>                                 "<requests> <different pages> <most at once>" of that job
//   so far
#pragma once

#include <CLI/App.hpp>
#include <cstdint>

namespace fourfold::tool {

class serve_pages_command {
 public:
  explicit serve_pages_command(CLI::App& program);
  bool chosen() const { return command_->parsed(); }
  // Serves until its standard input ends, that is, until the process that started it has ended. The first
  // line on standard output says how it went: "listening <port>" or "error <text>".
  int run();

 private:
  CLI::App* command_;
  std::uint16_t port_ = 0;
};

} // namespace fourfold::tool
