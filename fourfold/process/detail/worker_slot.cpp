#include <fourfold/process/detail/fault_point.hpp>
#include <fourfold/process/detail/shared_futex.hpp>
#include <fourfold/process/detail/system_call.hpp>
#include <fourfold/process/detail/worker_slot.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <new>

namespace fourfold::detail {
namespace {

unique_fd duplicate(int fd) {
  return unique_fd(checked(::fcntl(fd, F_DUPFD_CLOEXEC, 0), "duplicating a descriptor"));
}

/// Whether descriptors belong to the call's message.
bool travels_by_socket(process_call& call) noexcept {
  return call.large_payload || call.payload().has_attachments();
}

} // namespace

void worker_slot::open(result_bell bell, std::uint64_t most_calls) {
  channel_descriptors fresh;
  fresh.memory = make_shared_memory("fourfold-worker", channel_bytes);
  fresh.worker_bell = make_bell(bell_mode_);
  fresh.driver_bell = duplicate(driver_bell_);
  fresh.service_bell = duplicate(service_bell_);
  auto [ours, theirs] = make_socket_pair();
  fresh.socket = std::move(theirs);
  fault_point(fault_step::pool_opened_channel);
  memory_.emplace(fresh.memory.get());
  new (&memory_->header()) channel_header;
  want_bell(bell);
  calls_.emplace(memory_->header().calls, memory_->call_bytes());
  results_.emplace(memory_->header().results, memory_->result_bytes());
  socket_ = std::move(ours);
  worker_end_ = std::move(fresh);
  most_calls_ = most_calls;
  ++generation_;
}

std::string worker_slot::why_not_serving() const {
  const channel_header& header = memory_->header();
  if (header.cannot_serve.load() == 0)
    return {};
  std::string text(header.why_not.begin(), std::ranges::find(header.why_not, '\0'));
  std::ranges::replace_if(text, [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return text;
}

void worker_slot::started(pid_t pid, unique_fd pidfd) noexcept {
  pid_ = pid;
  pidfd_ = std::move(pidfd);
  if (condemned_ || killed_)
    kill();
}

void worker_slot::condemn() noexcept {
  condemned_ = true;
  kill();
}

void worker_slot::kill() noexcept {
  killed_ = true;
  // Through the pidfd, which cannot name a stranger that got the number later.
  if (pidfd_) {
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  } else if (pid_ > 0) {
    ::kill(pid_, SIGKILL); // there was no descriptor left for it; a worker that does not end would be worse
  }
  fault_point(fault_step::pool_killed_worker);
}

void worker_slot::handed_over() noexcept {
  worker_end_.memory.reset();
  worker_end_.driver_bell.reset();
  worker_end_.service_bell.reset();
  worker_end_.socket.reset();
}

void worker_slot::close() noexcept {
  owed_ = nullptr;
  large_payload_ = {};
  large_descriptor_.reset();
  attachments_.clear();
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
  condemned_ = killed_ = outgrown = told_to_finish = false;
  handed_ = told_ = 0;
  memory_looked_at = {};
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
  if (call.payload().has_attachments())
    header.kind |= with_attachments;
  if (call.has_deadline)
    header.kind |= report_begin;
  const std::uint64_t position = calls_->position();
  try {
    assigned_.push_back(&call);
  } catch (const std::bad_alloc&) {
    return false;
  }
  if (!write(header, call.payload().bytes()) ||
      (travels_by_socket(call) && !send_descriptors(call, number, position))) {
    assigned_.pop_back();
    return false;
  }
  fault_point(fault_step::pool_wrote_call);
  call.where = process_call::place::assigned;
  call.worker = index_;
  call.number = number;
  call.ring_position = position;
  call.begun = false;
  count(call, 1);
  ++handed_;
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

bool worker_slot::send_descriptors(process_call& call, std::uint64_t number,
                                   std::uint64_t position) noexcept {
  try {
    if (try_to_send(call, number)) {
      fault_point(fault_step::pool_sent_large_call);
      return true;
    }
    refused_ = true;
    if (calls_->revoke(position))
      return false;
    // The worker has begun with it and waits for the descriptor; or it has died, and then the call ends with it.
    owed_ = &call;
  } catch (const std::system_error&) {
    refused_ = true;
    if (calls_->revoke(position))
      return false;
    condemn(); // it waits for a descriptor that cannot be sent
  }
  return true;
}

bool worker_slot::try_to_send(process_call& call, std::uint64_t number) {
  // With the call's number, so that the worker passes over those of calls that were taken back.
  return send_attached(socket_.get(), number, call.large_payload.get(), call.payload(), false);
}

bool worker_slot::send_owed() noexcept {
  if (owed_ == nullptr)
    return true;
  try {
    if (!try_to_send(*owed_, owed_->number))
      return false;
  } catch (const std::system_error&) {
    condemn();
  }
  owed_ = nullptr;
  return true;
}

bool worker_slot::take_back(process_call& call) noexcept {
  if (!calls_->revoke(call.ring_position))
    return false;
  fault_point(fault_step::pool_took_call_back);
  static_cast<void>(ended(call.number));
  --handed_;
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
  if (call == owed_)
    owed_ = nullptr;
  while (!assigned_.empty() && assigned_.front() == nullptr) {
    assigned_.pop_front();
    ++first_number_;
  }
  return call;
}

process_call* worker_slot::find(std::uint64_t number) noexcept {
  const std::uint64_t place = number - first_number_;
  return place < assigned_.size() ? assigned_[place] : nullptr;
}

bool worker_slot::has_functions_before(const process_call& call) const noexcept {
  for (std::uint64_t i = 0; first_number_ + i < call.number; ++i) {
    if (assigned_[i] != nullptr && assigned_[i]->kind() == call_kind::function)
      return true;
  }
  return false;
}

bool worker_slot::tell(const process_call& call) noexcept {
  channel_header& header = memory_->header();
  // A worker takes one function after the other, so whoever was told of a later one need not hear of this.
  if (told_ <= call.number) {
    told_ = call.number + 1;
    header.told.store(told_);
    header.tellings.fetch_add(1);
    shared_futex_wake_one(header.tellings);
    fault_point(fault_step::pool_told_function);
  }
  return header.deaf.load() == 0;
}

bool worker_slot::send(call_kind kind, std::uint64_t number) noexcept {
  return write({.size = 0, .kind = static_cast<std::uint32_t>(kind), .number = number, .duration = 0}, {});
}

void worker_slot::wake() const noexcept {
  std::atomic<std::uint32_t>& sleeps = memory_->header().worker_sleeps;
  if (sleeps.load() != 0 && sleeps.exchange(0) != 0)
    ring_bell(worker_end_.worker_bell.get());
  fault_point(fault_step::pool_woke_worker);
}

void worker_slot::give_room() const noexcept {
  std::atomic<std::uint32_t>& wants = memory_->header().wants_room;
  if (wants.load() != 0 && wants.exchange(0) != 0)
    ring_bell(worker_end_.worker_bell.get());
}

bool worker_slot::next_result(message_header& header) {
  large_payload_ = {};
  large_descriptor_.reset();
  attachments_.clear();
  // Nobody takes a result back; without end, such messages would keep us here.
  if (!results_->read(header, payload_, ring_reader::revoked::is_corrupt))
    return false;
  const std::uint32_t flags = header.kind & (through_descriptor | with_attachments);
  if (flags == 0)
    return true;
  header.kind &= ~flags;
  std::array<std::byte, 1> nothing{};
  auto message = receive_with_descriptors(socket_.get(), nothing, false);
  std::span<unique_fd> descriptors(message.descriptors);
  if (!descriptors[0])
    throw decode_error("a result came without its descriptors");
  if ((flags & through_descriptor) != 0) {
    large_descriptor_ = std::move(descriptors[0]);
    descriptors = descriptors.subspan(1);
  }
  attach_received(payload_, descriptors);
  attachments_ = payload_.take_attachments();
  return true;
}

void worker_slot::recognise(const attachment_list& sent) noexcept {
  for (std::shared_ptr<const attachment>& received : attachments_) {
    const auto known = std::find_if(sent.begin(), sent.end(),
                                    [&](const auto& one) { return one->stands_for(received->fd()); });
    if (known != sent.end())
      received = *known;
  }
}

std::span<const std::byte> worker_slot::payload() {
  if (!large_descriptor_)
    return payload_.bytes();
  large_payload_ = map_sealed_message(large_descriptor_.get());
  return large_payload_.bytes();
}

} // namespace fourfold::detail
