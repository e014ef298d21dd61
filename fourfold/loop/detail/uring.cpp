#include <fourfold/loop/detail/uring.hpp>

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace fourfold::detail {
namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

} // namespace

kernel_mapping::kernel_mapping(std::size_t size, int fd, off_t offset) : size_(size) {
  const int kind = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE;
  void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, kind, fd, offset);
  if (mapped == MAP_FAILED)
    fail("mmap for io_uring");
  data_ = static_cast<std::byte*>(mapped);
}

kernel_mapping::kernel_mapping(kernel_mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}

kernel_mapping& kernel_mapping::operator=(kernel_mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

kernel_mapping::~kernel_mapping() {
  if (data_ != nullptr)
    ::munmap(data_, size_);
}

uring::uring(unsigned submissions, unsigned completions) {
  io_uring_params parameters{};
  // Disabled at first: the thread that enables it is the one that may use it.
  parameters.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                     IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
                     IORING_SETUP_CLAMP;
  parameters.cq_entries = completions;
  fd_ = unique_fd(static_cast<int>(::syscall(SYS_io_uring_setup, submissions, &parameters)));
  if (!fd_)
    fail("io_uring_setup");
  constexpr unsigned needed = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
  if ((parameters.features & needed) != needed) {
    errno = ENOSYS;
    fail("io_uring_setup");
  }

  const std::size_t size = std::max(parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned),
                                    parameters.cq_off.cqes + parameters.cq_entries * sizeof(io_uring_cqe));
  rings_ = kernel_mapping(size, fd_.get(), IORING_OFF_SQ_RING);
  entries_map_ = kernel_mapping(parameters.sq_entries * sizeof(io_uring_sqe), fd_.get(), IORING_OFF_SQES);

  entries_ = entries_map_.at<io_uring_sqe>(0);
  submission_head_ = rings_.at<unsigned>(parameters.sq_off.head);
  submission_tail_ = rings_.at<unsigned>(parameters.sq_off.tail);
  submission_flags_ = rings_.at<unsigned>(parameters.sq_off.flags);
  submission_mask_ = *rings_.at<unsigned>(parameters.sq_off.ring_mask);
  // The kernel takes the entries by way of this table; they always stand in order.
  auto* order = rings_.at<unsigned>(parameters.sq_off.array);
  for (unsigned i = 0; i < parameters.sq_entries; ++i)
    order[i] = i;

  completions_ = rings_.at<io_uring_cqe>(parameters.cq_off.cqes);
  completion_head_ = rings_.at<unsigned>(parameters.cq_off.head);
  completion_tail_ = rings_.at<unsigned>(parameters.cq_off.tail);
  completion_mask_ = *rings_.at<unsigned>(parameters.cq_off.ring_mask);
}

void uring::enable() {
  errno = -register_with(IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (errno != 0)
    fail("io_uring_register");
}

void uring::hold_descriptor() noexcept {
  io_uring_rsrc_update update{};
  update.offset = -1U; // any place
  update.data = static_cast<std::uint64_t>(fd_.get());
  if (register_with(IORING_REGISTER_RING_FDS, &update, 1) == 1)
    held_ = static_cast<int>(update.offset);
}

void uring::release_descriptor() noexcept {
  if (held_ < 0)
    return;
  io_uring_rsrc_update update{};
  update.offset = static_cast<unsigned>(std::exchange(held_, -1));
  [[maybe_unused]] const int released = register_with(IORING_UNREGISTER_RING_FDS, &update, 1);
}

int uring::register_with(unsigned operation, void* argument, unsigned count) const noexcept {
  const long result = ::syscall(SYS_io_uring_register, fd_.get(), operation, argument, count);
  return result < 0 ? -errno : static_cast<int>(result);
}

io_uring_sqe* uring::next_entry() noexcept {
  if (unsubmitted() > submission_mask_) {
    enter(clock::time_point::min());
    if (unsubmitted() > submission_mask_)
      return nullptr;
  }
  io_uring_sqe* entry = &entries_[entries_made_++ & submission_mask_];
  std::memset(entry, 0, sizeof *entry);
  return entry;
}

void uring::enter(clock::time_point deadline) noexcept {
  // Release: the entries before their tail.
  std::atomic_ref(*submission_tail_).store(entries_made_, std::memory_order_release);

  unsigned wait_for = 0;
  unsigned flags = IORING_ENTER_GETEVENTS | (held_ < 0 ? 0U : IORING_ENTER_REGISTERED_RING);
  __kernel_timespec timeout{};
  io_uring_getevents_arg limit{};
  const void* argument = nullptr;
  std::size_t argument_size = 0;
  if (deadline == never) {
    wait_for = 1;
  } else if (deadline != clock::time_point::min()) {
    const auto remaining = deadline - clock::now();
    if (remaining > clock::duration::zero()) {
      const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(remaining).count();
      timeout = {.tv_sec = nanoseconds / 1'000'000'000, .tv_nsec = nanoseconds % 1'000'000'000};
      limit.ts = reinterpret_cast<std::uintptr_t>(&timeout);
      argument = &limit;
      argument_size = sizeof limit;
      wait_for = 1;
      flags |= IORING_ENTER_EXT_ARG;
    }
  }
  // Its failures pass: a signal (EINTR), the time limit (ETIME), no memory for new requests now (EAGAIN), or
  // completions that must be taken first (EBUSY). What was not taken is still in the queue.
  ::syscall(SYS_io_uring_enter, held_ < 0 ? fd_.get() : held_, unsubmitted(), wait_for, flags, argument,
            argument_size);
}

} // namespace fourfold::detail
