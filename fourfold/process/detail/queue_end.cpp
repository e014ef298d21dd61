#include <fourfold/base/cpu_count.hpp>
#include <fourfold/base/waiter.hpp>
#include <fourfold/loop/async_descriptor.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/process/detail/queue_end.hpp>
#include <fourfold/process/detail/system_call.hpp>
#include <fourfold/process/detail/worker_channel.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <new>

namespace fourfold::detail {
namespace {

constexpr std::size_t header_bytes = 4096;
static_assert(sizeof(shared_ring_header) <= header_bytes);
constexpr auto look_again = std::chrono::milliseconds(100);
constexpr auto longest_spin = std::chrono::microseconds(50);

void ring_once(int socket) noexcept {
  const int saved_errno = errno;
  const char byte = 0;
  // Full: it is being rung enough. Closed: nobody to wake.
  [[maybe_unused]] const ssize_t sent = ::send(socket, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  errno = saved_errno;
}

/// Takes one byte, if there is one.
bool was_rung(int socket) noexcept {
  const int saved_errno = errno;
  char byte = 0;
  const bool rung = ::recv(socket, &byte, 1, MSG_DONTWAIT) == 1;
  errno = saved_errno;
  return rung;
}

std::chrono::microseconds spin_limit() {
  static const bool several_cpus = cpu_count() > 1;
  return several_cpus ? longest_spin : std::chrono::microseconds(0);
}

constexpr short gone = POLLHUP | POLLERR | POLLNVAL;

} // namespace

/// Counts a sleeper for a scope.
class sleeper {
 public:
  sleeper(std::atomic<std::uint32_t>& count, int socket) noexcept : count_(count), socket_(socket) {
    count_.fetch_add(1);
  }
  ~sleeper() {
    // Each byte has taken one sleeper off the count, so who takes a byte is off it.
    if (was_rung(socket_))
      return;
    std::uint32_t count = count_.load();
    while (count != 0 && !count_.compare_exchange_weak(count, count - 1)) {
    }
  }
  sleeper(const sleeper&) = delete;
  sleeper& operator=(const sleeper&) = delete;

 private:
  std::atomic<std::uint32_t>& count_;
  int socket_;
};

queue_end::queue_end(std::shared_ptr<memory_block> memory, std::shared_ptr<const attachment> socket,
                     side which, std::size_t limit, std::size_t record)
    : memory_(std::move(memory)),
      socket_(std::move(socket)),
      which_(which),
      ring_(*std::launder(reinterpret_cast<shared_ring_header*>(memory_->data())),
            memory_->bytes().subspan(header_bytes, shared_ring::ring_bytes(limit)), limit, record),
      spin_(spin_limit()) {}

std::array<queue_end, 2> queue_end::make(std::size_t limit, std::size_t record) {
  auto memory = memory_block::make(header_bytes + shared_ring::ring_bytes(limit));
  new (memory->data()) shared_ring_header;
  std::array<int, 2> ends{};
  checked(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  unique_fd putters(ends[0]);
  unique_fd getters(ends[1]);
  return {
      queue_end(memory, std::make_shared<const attachment>(std::move(putters)), side::put, limit, record),
      queue_end(memory, std::make_shared<const attachment>(std::move(getters)), side::get, limit, record)};
}

void queue_end::wake_other_side() const noexcept {
  std::atomic<std::uint32_t>& count = asleep(which_ == side::get ? side::put : side::get);
  std::uint32_t sleepers = count.load();
  while (sleepers != 0) {
    if (count.compare_exchange_weak(sleepers, sleepers - 1))
      return ring_once(socket_->fd());
  }
}

void queue_end::close() noexcept {
  if (ring_.header().closed.exchange(1) != 0)
    return;
  // Only the other side can be rung from here; our own side's sleepers look again soon.
  std::uint32_t sleepers =
      std::min<std::uint32_t>(asleep(which_ == side::get ? side::put : side::get).exchange(0), 65536);
  while (sleepers-- > 0)
    ring_once(socket_->fd());
}

bool queue_end::sleep(std::size_t room, const wait_limit& limit) {
  if (limit.token.cancellation_requested())
    throw_cancelled();
  if (spin_.look([&] { return possible(room); }))
    return true;
  if (limit.deadline != never && clock::now() >= limit.deadline)
    throw timed_out();
  const blocking_scope blocking;
  unique_fd cancelled_bell;
  if (limit.token.can_be_cancelled())
    cancelled_bell = unique_fd(checked(::eventfd(0, EFD_CLOEXEC), "eventfd"));
  const int cancel_fd = cancelled_bell.get();
  const cancellation_callback on_cancellation(limit.token, [cancel_fd]() noexcept { ring_bell(cancel_fd); });
  const sleeper counted(asleep(which_), socket_->fd());
  if (possible(room))
    return true;
  const auto until = std::min(limit.deadline, clock::now() + look_again);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
  std::array<pollfd, 2> watched{{{.fd = socket_->fd(), .events = POLLIN, .revents = 0},
                                 {.fd = cancel_fd, .events = POLLIN, .revents = 0}}};
  ::poll(watched.data(), watched.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
  return (watched[0].revents & gone) == 0;
}

task<bool> queue_end::async_sleep(std::size_t room) {
  auto bell = async_descriptor::to_watch(
      checked(::fcntl(socket_->fd(), F_DUPFD_CLOEXEC, 0), "duplicating a descriptor"));
  const sleeper counted(asleep(which_), socket_->fd());
  if (possible(room))
    co_return true;
  try {
    co_await timeout(look_again, bell.readable());
  } catch (const timed_out&) { // NOLINT(bugprone-empty-catch): see the class
  }
  pollfd watched{.fd = socket_->fd(), .events = POLLIN, .revents = 0};
  ::poll(&watched, 1, 0);
  co_return (watched.revents & gone) == 0;
}

void queue_end::encode(encoder& out) const {
  out.write(ring_.limit());
  out.attach(memory_);
  out.attach(socket_);
}

queue_end queue_end::decode(decoder& in, side which, std::size_t record) {
  const auto limit = in.read<std::size_t>();
  if (limit == 0 || limit % 8 != 0 || limit > std::size_t{1} << 40)
    in.fail("a queue between processes came with an impossible size");
  auto memory =
      memory_block::receive(in, header_bytes + shared_ring::ring_bytes(limit), memory_access::shared);
  return {std::move(memory), in.next_attachment(), which, limit, record};
}

} // namespace fourfold::detail
