// B15 and B16: the load for every echo server, so that figures differ by the server alone.
//
//   echo_load --connections 100 --size 64 --window 1 --buffer 1024 --cpus 0,1 --placement across -- server...
//
// It starts the server on the first CPU and runs on the last one itself. There it never sleeps: what is
// waited for is the server. A connection has at most `--window` messages on their way; with 1 it is a
// ping-pong, and each round trip is timed. What comes back is compared with what was sent.
#include "echo_server.hpp"
#include "measure.hpp"

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

namespace {

using echo_server::checked;
using measure::clock;

constexpr auto patience = std::chrono::seconds(30);

// Times in buckets whose width is a 64th of their value: as exact as anybody reads a p99, whatever its size.
class histogram {
 public:
  void add(clock::duration time) {
    const auto nanoseconds = static_cast<std::uint64_t>(time.count());
    ++buckets_[bucket_of(nanoseconds)];
    ++count_;
  }
  void clear() {
    buckets_.fill(0);
    count_ = 0;
  }
  [[nodiscard]] double percentile(double fraction) const {
    const auto rank = static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= rank && seen > 0)
        return middle_of(i);
    }
    measure::fail("no round trip was measured");
  }

 private:
  static constexpr unsigned bits = 6;
  static constexpr std::uint64_t parts = 1U << bits;

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < parts)
      return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - bits - 1;
    return (std::size_t{shift} + 1) * parts + (value >> shift) - parts;
  }
  static double middle_of(std::size_t bucket) {
    if (bucket < parts)
      return static_cast<double>(bucket);
    const std::uint64_t shift = bucket / parts - 1;
    return (static_cast<double>(bucket % parts + parts) + 0.5) *
           static_cast<double>(std::uint64_t{1} << shift);
  }

  std::array<std::uint64_t, parts * (64 - bits + 1)> buckets_{};
  std::uint64_t count_ = 0;
};

// The server as a child process, killed with this object or with this program.
class server_process {
 public:
  server_process(std::vector<char*> command, const measure::options& options) {
    if (command.empty())
      measure::fail("no server behind \"--\"");
    std::string buffer = std::to_string(options.buffer);
    std::string name = "--buffer";
    command.insert(command.end(), {name.data(), buffer.data(), nullptr});
    int out[2];
    checked(pipe2(out, O_CLOEXEC), "pipe2");
    const pid_t parent = getpid();
    pid_ = checked(fork(), "fork");
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent)
        _exit(1);
      if (options.pinned())
        measure::pin_thread(options.first_cpu());
      dup2(out[1], STDOUT_FILENO);
      execv(command.front(), command.data());
      echo_server::fail(command.front());
    }
    close(out[1]);
    std::unique_ptr<FILE, int (*)(FILE*)> lines(fdopen(out[0], "r"), &fclose);
    int port = 0;
    if (!lines || std::fscanf(lines.get(), "port %d", &port) != 1)
      measure::fail("the server did not say where it listens");
    port_ = static_cast<std::uint16_t>(port);
    checked(clock_getcpuclockid(pid_, &cpu_clock_) == 0 ? 0 : -1, "clock_getcpuclockid");
  }
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;
  ~server_process() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] double resident_bytes() const {
    return static_cast<double>(measure::resident_bytes(std::to_string(pid_)));
  }
  // The time that all of its threads have had a CPU, the kernel's work for them included.
  [[nodiscard]] double cpu_nanoseconds() const {
    timespec time{};
    checked(clock_gettime(cpu_clock_, &time), "clock_gettime");
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
  }

 private:
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
  clockid_t cpu_clock_ = 0;
};

struct connection {
  int fd = -1;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::size_t unsent = 0; // of the message that is being sent
  clock::time_point start;
};

class load {
 public:
  explicit load(const measure::options& options)
      : size_(options.size), limit_(options.size * options.window) {
    epoll_ = checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    std::mt19937 random(1); // NOLINT: the same bytes in every run
    stream_.resize(2 * size_);
    for (std::size_t i = 0; i < size_; ++i)
      stream_[i] = stream_[i + size_] = static_cast<char>(random());
    connections_.reserve(options.connections);
  }

  // Adds connections, and waits until each of them has had its first message back. In small groups, so that
  // the server's backlog never overflows.
  void connect(std::uint16_t port, std::size_t count) {
    constexpr std::size_t group = 64;
    while (connections_.size() < count) {
      const std::size_t end = std::min(connections_.size() + group, count);
      while (connections_.size() < end) {
        open(port);
        send_to(connections_.back(), clock::now());
      }
      drain();
    }
  }

  // Sends for so long, and counts from zero.
  void run(double seconds) {
    flowing_ = true;
    round_trips_.clear();
    bytes_ = 0;
    idle_ = {};
    const auto begin = clock::now();
    for (connection& one : connections_)
      send_to(one, clock::now());
    now_ = begin;
    while (std::chrono::duration<double>(now_ - begin).count() < seconds)
      poll();
    elapsed_ = std::chrono::duration<double>(now_ - begin).count();
    flowing_ = false;
  }

  // Receives until everything is back.
  void drain() {
    const auto end = clock::now() + patience;
    while (left_ != 0) {
      poll();
      if (now_ > end)
        measure::fail("the server has not answered for 30 s");
    }
  }

  [[nodiscard]] double bytes() const { return static_cast<double>(bytes_); }
  [[nodiscard]] double seconds() const { return elapsed_; }
  [[nodiscard]] const histogram& round_trips() const { return round_trips_; }
  // The part of the time in which there was nothing to do here: the server is what limits.
  [[nodiscard]] double idle() const { return std::chrono::duration<double>(idle_).count() / elapsed_; }

 private:
  void open(std::uint16_t port) {
    connection one;
    one.fd = checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    checked(::connect(one.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
    const int yes = 1;
    const linger abort{.l_onoff = 1, .l_linger = 0}; // no TIME_WAIT is left to the next run
    checked(setsockopt(one.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "setsockopt");
    checked(setsockopt(one.fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort), "setsockopt");
    checked(fcntl(one.fd, F_SETFL, O_NONBLOCK), "fcntl");
    epoll_event registration{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.u64 = connections_.size()}};
    checked(epoll_ctl(epoll_, EPOLL_CTL_ADD, one.fd, &registration), "epoll_ctl");
    connections_.push_back(one);
  }

  void poll() {
    const int count = epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), 0);
    if (count < 0 && errno != EINTR)
      echo_server::fail("epoll_wait");
    const auto before = std::exchange(now_, clock::now());
    if (count <= 0) {
      idle_ += now_ - before;
      return;
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      connection& one = connections_[events_[i].data.u64];
      const auto now = clock::now(); // one look for both: what has come, and what goes next
      receive_from(one, now);
      send_to(one, now);
    }
  }

  // Whole messages, as many as the window has room for; one only, its first, where nothing flows yet.
  void send_to(connection& to, clock::time_point now) {
    for (;;) {
      if (to.unsent == 0) {
        if (to.sent - to.received + size_ > limit_ || (!flowing_ && to.sent != 0))
          return;
        to.unsent = size_;
        left_ += size_;
        to.start = now;
      }
      const ssize_t n = send(to.fd, stream_.data() + size_ - to.unsent, to.unsent, MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN)
        return;
      checked(static_cast<int>(n), "send");
      to.sent += static_cast<std::uint64_t>(n);
      to.unsent -= static_cast<std::size_t>(n);
    }
  }

  void receive_from(connection& from, clock::time_point now) {
    for (;;) {
      const ssize_t n = recv(from.fd, received_.data(), received_.size(), 0);
      if (n < 0 && errno == EAGAIN)
        return;
      checked(static_cast<int>(n), "recv");
      if (n == 0)
        measure::fail("the server closed a connection");
      compare(from.received, static_cast<std::size_t>(n));
      from.received += static_cast<std::uint64_t>(n);
      bytes_ += static_cast<std::uint64_t>(n);
      left_ -= static_cast<std::uint64_t>(n);
      if (limit_ == size_ && from.received % size_ == 0)
        round_trips_.add(now - from.start);
      if (static_cast<std::size_t>(n) < received_.size())
        return; // there is no more; if more comes, epoll tells
    }
  }

  // Small messages entirely; of large ones the ends of every piece, for the comparison is not to be what is
  // measured.
  void compare(std::uint64_t position, std::size_t count) {
    constexpr std::size_t end = 64;
    const auto same = [&](std::size_t from, std::size_t length) {
      const char* expected = stream_.data() + (position + from) % size_;
      return std::memcmp(received_.data() + from, expected, length) == 0;
    };
    const std::size_t length = std::min(count, end);
    measure::require(same(0, length) && (count == length || same(count - length, length)),
                     "the echo differs from what was sent");
  }

  std::size_t size_;
  std::size_t limit_;
  int epoll_ = -1;
  std::vector<char> stream_; // the message, twice
  std::vector<connection> connections_;
  std::array<epoll_event, 512> events_{};
  std::vector<char> received_ = std::vector<char>(256 * 1024);
  bool flowing_ = false;
  std::uint64_t left_ = 0; // bytes that have to come back
  std::uint64_t bytes_ = 0;
  histogram round_trips_;
  clock::time_point now_;
  clock::duration idle_{};
  double elapsed_ = 0;
};

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  echo_server::raise_descriptor_limit();
  server_process server(options.command, options);
  if (options.pinned())
    measure::pin_thread(options.second_cpu());

  // What the first connection makes the server load and allocate is not any connection's.
  load clients(options);
  clients.connect(server.port(), 1);
  clients.run(options.seconds / 8);
  clients.drain();
  const double memory = server.resident_bytes();

  clients.connect(server.port(), options.connections);
  clients.run(options.seconds / 8);
  const double cpu = server.cpu_nanoseconds();
  clients.run(options.seconds);
  const double requests = clients.bytes() / static_cast<double>(options.size);
  const double cpu_per_request = (server.cpu_nanoseconds() - cpu) / requests;
  const double growth = server.resident_bytes() - memory;
  clients.drain();
  const auto added = static_cast<double>(std::max<std::size_t>(options.connections - 1, 1));
  if (options.window == 1) {
    measure::print({{"requests", requests / clients.seconds()},
                    {"p50", clients.round_trips().percentile(0.50) / 1000},
                    {"p99", clients.round_trips().percentile(0.99) / 1000},
                    {"memory", growth / added},
                    {"cpu", cpu_per_request},
                    {"idle", clients.idle()}});
  } else {
    measure::print({{"megabytes", clients.bytes() / clients.seconds() / 1e6},
                    {"cpu", cpu_per_request},
                    {"idle", clients.idle()}});
  }
}
