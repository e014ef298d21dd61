#include <fourfold/process/detail/system_call.hpp>
#include <fourfold/process/detail/worker_slot.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>

namespace fourfold::detail {
namespace {

unique_fd duplicate(int fd) {
  return unique_fd(checked(::fcntl(fd, F_DUPFD_CLOEXEC, 0), "duplicating a descriptor"));
}

} // namespace

void worker_slot::open(result_bell bell) {
  channel_descriptors fresh;
  fresh.memory = make_shared_memory("fourfold-worker", channel_bytes);
  fresh.worker_bell = unique_fd(checked(::eventfd(0, EFD_CLOEXEC), "eventfd"));
  fresh.driver_bell = duplicate(driver_bell_);
  fresh.service_bell = duplicate(service_bell_);
  auto [ours, theirs] = make_socket_pair();
  fresh.socket = std::move(theirs);
  memory_.emplace(fresh.memory.get());
  new (&memory_->header()) channel_header;
  want_bell(bell);
  calls_.emplace(memory_->header().calls, memory_->call_bytes());
  results_.emplace(memory_->header().results, memory_->result_bytes());
  socket_ = std::move(ours);
  worker_end_ = std::move(fresh);
  ++generation_;
}

void worker_slot::started(pid_t pid, unique_fd pidfd) noexcept {
  pid_ = pid;
  pidfd_ = std::move(pidfd);
  if (condemned_)
    condemn();
}

void worker_slot::condemn() noexcept {
  condemned_ = true;
  // Through the pidfd, which cannot name a stranger that got the number later.
  if (pidfd_)
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

void worker_slot::handed_over() noexcept {
  worker_end_.memory.reset();
  worker_end_.driver_bell.reset();
  worker_end_.service_bell.reset();
  worker_end_.socket.reset();
}

void worker_slot::close() noexcept {
  large_payload_ = {};
  large_descriptor_.reset();
  results_.reset();
  calls_.reset();
  memory_.reset();
  socket_.reset();
  worker_end_ = {};
  assigned_.clear();
  first_number_ = 0;
  functions_ = coroutines_ = 0;
  pid_ = -1;
  pidfd_.reset();
  condemned_ = false;
}

void worker_slot::count(const process_call& call, std::size_t one) noexcept {
  (call.kind() == call_kind::coroutine ? coroutines_ : functions_) += one;
}

bool worker_slot::assign(process_call& call) noexcept {
  const std::uint64_t number = first_number_ + assigned_.size();
  message_header header{.size = static_cast<std::uint32_t>(call.payload().size()),
                        .kind = static_cast<std::uint32_t>(call.kind()),
                        .number = number,
                        .duration = 0};
  if (call.large_payload)
    header.kind |= through_descriptor;
  const std::uint64_t position = calls_->position();
  try {
    assigned_.push_back(&call);
  } catch (const std::bad_alloc&) {
    return false;
  }
  if (!write(header, call.payload().bytes()) ||
      (call.large_payload && !send_descriptor(call.large_payload.get(), position))) {
    assigned_.pop_back();
    return false;
  }
  call.where = process_call::place::assigned;
  call.worker = index_;
  call.number = number;
  call.ring_position = position;
  count(call, 1);
  return true;
}

bool worker_slot::write(const message_header& header, std::span<const std::byte> payload) noexcept {
  try {
    if (calls_->write(header, payload))
      return true;
    // The worker may skip what was taken back and then sleep: it is asked to ring when it has made room, and the
    // room that it made before it could see that is looked for once more.
    memory_->header().wants_call_room.exchange(1);
    return calls_->write(header, payload);
  } catch (const ring_corrupted&) {
    condemn();
    return false;
  }
}

bool worker_slot::send_descriptor(int large_payload, std::uint64_t position) noexcept {
  const std::byte nothing{};
  const std::array<int, 1> descriptor{large_payload};
  const std::span<const std::byte> one(&nothing, 1);
  try {
    if (send_with_descriptors(socket_.get(), one, descriptor, false))
      return true;
    if (calls_->revoke(position))
      return false;
    // The worker has begun with it and waits for the descriptor, so what is in flight drains; or it has died,
    // and then the call ends with it.
    static_cast<void>(send_with_descriptors(socket_.get(), one, descriptor, true));
  } catch (const std::system_error&) {
    if (calls_->revoke(position))
      return false;
    condemn(); // it waits for a descriptor that cannot be sent
  }
  return true;
}

bool worker_slot::take_back(process_call& call) noexcept {
  // A message with a descriptor cannot be skipped alone: the descriptor would be taken for the next one's.
  if (call.large_payload || !calls_->revoke(call.ring_position))
    return false;
  static_cast<void>(ended(call.number));
  return true;
}

process_call* worker_slot::ended(std::uint64_t number) noexcept {
  const std::uint64_t place = number - first_number_;
  if (place >= assigned_.size())
    return nullptr;
  process_call* call = std::exchange(assigned_[place], nullptr);
  if (call == nullptr)
    return nullptr;
  count(*call, static_cast<std::size_t>(-1));
  while (!assigned_.empty() && assigned_.front() == nullptr) {
    assigned_.pop_front();
    ++first_number_;
  }
  return call;
}

bool worker_slot::send(call_kind kind, std::uint64_t number) noexcept {
  return write({.size = 0, .kind = static_cast<std::uint32_t>(kind), .number = number, .duration = 0}, {});
}

void worker_slot::wake() const noexcept {
  std::atomic<std::uint32_t>& sleeps = memory_->header().worker_sleeps;
  if (sleeps.load() != 0 && sleeps.exchange(0) != 0)
    ring_bell(worker_end_.worker_bell.get());
}

void worker_slot::give_room() const noexcept {
  std::atomic<std::uint32_t>& wants = memory_->header().wants_room;
  if (wants.load() != 0 && wants.exchange(0) != 0)
    ring_bell(worker_end_.worker_bell.get());
}

bool worker_slot::next_result(message_header& header) {
  large_payload_ = {};
  large_descriptor_.reset();
  if (!results_->read(header, payload_))
    return false;
  if ((header.kind & through_descriptor) != 0) {
    header.kind &= ~through_descriptor;
    std::array<std::byte, 1> nothing{};
    auto message = receive_with_descriptors(socket_.get(), nothing, false);
    if (!message.descriptors[0])
      throw decode_error("a large result came without its descriptor");
    large_descriptor_ = std::move(message.descriptors[0]);
  }
  return true;
}

std::span<const std::byte> worker_slot::payload() {
  if (!large_descriptor_)
    return payload_.bytes();
  large_payload_ = map_sealed_message(large_descriptor_.get());
  return large_payload_.bytes();
}

} // namespace fourfold::detail
