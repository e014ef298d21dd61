// Starts `fourfold serve-pages` as a child process and ends it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

namespace fourfold::tool {

class page_server {
 public:
  // `port` 0: any that is free. Returns when the server listens. Throws usage_error when it cannot, for
  // instance because the port is taken. Call on the main thread: the child dies with the thread that started
  // it.
  explicit page_server(std::uint16_t port);
  ~page_server();
  page_server(const page_server&) = delete;
  page_server& operator=(const page_server&) = delete;

  pid_t pid() const { return pid_; }
  std::uint16_t port() const { return port_; }
  // A number for the server to count one run's requests under.
  std::uint64_t new_job() { return ++jobs_; }

 private:
  pid_t pid_ = -1;
  int lifeline_ = -1; // the child's standard input: it ends when this is closed, by whatever means
  std::uint16_t port_ = 0;
  std::atomic<std::uint64_t> jobs_{0};
};

} // namespace fourfold::tool
