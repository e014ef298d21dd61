// B15 and B16: io_uring through liburing, as its documentation advises for a network server: one issuer with
// deferred task work, multishot accept into a table of direct descriptors, multishot receive into provided
// buffers. A buffer is sent back as it is and then returned to the ring.
#include "../support/echo_server.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <liburing.h>
#include <sys/mman.h>

namespace {

using echo_server::checked;

constexpr unsigned most_connections = 16384;
constexpr int buffer_group = 0;

enum class kind : std::uint8_t { accept, receive, send };

struct piece {
  std::uint16_t buffer;
  std::uint32_t length;
};

struct connection {
  bool sending = false;
  bool receiving = false;
  bool ended = false;
  std::vector<piece> waiting; // received while another piece was being sent
};

class server {
 public:
  explicit server(std::size_t buffer_size) : buffer_size_(buffer_size) {
    io_uring_params parameters{};
    parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
    parameters.cq_entries = 4 * most_connections;
    require(io_uring_queue_init_params(4096, &ring_, &parameters), "io_uring_queue_init_params");
    io_uring_register_ring_fd(&ring_); // saves a look-up in each call; fine without
    require(io_uring_register_files_sparse(&ring_, most_connections), "io_uring_register_files_sparse");
    provide_buffers();

    listener_ = echo_server::listening_socket(0);
    connections_.resize(most_connections);
    start_accepting();
    echo_server::announce(echo_server::port_of(listener_));
  }

  [[noreturn]] void run() {
    for (;;) {
      const int result = io_uring_submit_and_wait(&ring_, 1);
      if (result < 0 && result != -EINTR)
        echo_server::fail("io_uring_submit_and_wait", -result);
      unsigned head = 0;
      unsigned count = 0;
      io_uring_cqe* completion = nullptr;
      io_uring_for_each_cqe(&ring_, head, completion) {
        ++count;
        complete(*completion);
      }
      io_uring_cq_advance(&ring_, count);
      receive_again();
    }
  }

 private:
  static void require(int result, const char* call) {
    if (result < 0)
      echo_server::fail(call, -result);
  }

  // Four megabytes, whatever the size of one.
  void provide_buffers() {
    buffer_count_ = 1;
    while (buffer_count_ < 32768 && buffer_count_ * buffer_size_ < 4U * 1024 * 1024)
      buffer_count_ *= 2;
    const auto map = [](std::size_t bytes) {
      void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED)
        echo_server::fail("mmap");
      return memory;
    };
    buffers_ = static_cast<char*>(map(buffer_count_ * buffer_size_));
    buffer_ring_ = static_cast<io_uring_buf_ring*>(map(buffer_count_ * sizeof(io_uring_buf)));
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uint64_t>(buffer_ring_);
    registration.ring_entries = static_cast<std::uint32_t>(buffer_count_);
    registration.bgid = buffer_group;
    require(io_uring_register_buf_ring(&ring_, &registration, 0), "io_uring_register_buf_ring");
    io_uring_buf_ring_init(buffer_ring_);
    for (std::size_t i = 0; i < buffer_count_; ++i)
      give_back(static_cast<std::uint16_t>(i));
  }

  char* buffer(std::uint16_t index) { return buffers_ + index * buffer_size_; }

  void give_back(std::uint16_t index) {
    const int mask = io_uring_buf_ring_mask(static_cast<std::uint32_t>(buffer_count_));
    io_uring_buf_ring_add(buffer_ring_, buffer(index), static_cast<unsigned>(buffer_size_), index, mask, 0);
    io_uring_buf_ring_advance(buffer_ring_, 1);
    ++free_buffers_;
  }

  io_uring_sqe* submission() {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) {
      io_uring_submit(&ring_);
      entry = io_uring_get_sqe(&ring_);
    }
    if (entry == nullptr)
      measure::fail("the submission queue stays full");
    return entry;
  }

  // After the prep function, which clears it.
  static void set_data(io_uring_sqe* entry, kind what, std::uint32_t index, std::uint16_t used_buffer = 0) {
    io_uring_sqe_set_data64(entry, static_cast<std::uint64_t>(what) | std::uint64_t{used_buffer} << 8 |
                                       std::uint64_t{index} << 32);
  }

  void start_accepting() {
    io_uring_sqe* entry = submission();
    io_uring_prep_multishot_accept_direct(entry, listener_, nullptr, nullptr, 0);
    set_data(entry, kind::accept, 0);
  }

  void start_receiving(std::uint32_t index) {
    io_uring_sqe* entry = submission();
    io_uring_prep_recv_multishot(entry, static_cast<int>(index), nullptr, 0, 0);
    entry->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    entry->buf_group = buffer_group;
    set_data(entry, kind::receive, index);
    connections_[index].receiving = true;
  }

  void start_sending(std::uint32_t index, piece what) {
    io_uring_sqe* entry = submission();
    // MSG_WAITALL: the kernel itself goes on after a short write.
    io_uring_prep_send(entry, static_cast<int>(index), buffer(what.buffer), what.length,
                       MSG_WAITALL | MSG_NOSIGNAL);
    entry->flags |= IOSQE_FIXED_FILE;
    set_data(entry, kind::send, index, what.buffer);
    connections_[index].sending = true;
  }

  void complete(const io_uring_cqe& completion) {
    const auto what = static_cast<kind>(completion.user_data & 0xff);
    const auto used_buffer = static_cast<std::uint16_t>(completion.user_data >> 8);
    const auto index = static_cast<std::uint32_t>(completion.user_data >> 32);
    switch (what) {
    case kind::accept: return accepted(completion);
    case kind::receive: return received(index, completion);
    case kind::send: return sent(index, used_buffer, completion.res);
    }
  }

  void accepted(const io_uring_cqe& completion) {
    if (completion.res >= 0) {
      const auto index = static_cast<std::uint32_t>(completion.res);
      connections_[index] = connection{};
      start_receiving(index);
    } else if (completion.res != -ECONNABORTED) {
      echo_server::fail("accept", -completion.res);
    }
    if ((completion.flags & IORING_CQE_F_MORE) == 0)
      start_accepting();
  }

  void received(std::uint32_t index, const io_uring_cqe& completion) {
    connection& one = connections_[index];
    if ((completion.flags & IORING_CQE_F_MORE) == 0)
      one.receiving = false;
    if (completion.res > 0) {
      --free_buffers_;
      const piece what{static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT),
                       static_cast<std::uint32_t>(completion.res)};
      if (one.sending) {
        one.waiting.push_back(what);
      } else {
        start_sending(index, what);
      }
    } else if (completion.res != -ENOBUFS) {
      one.ended = true;
    }
    if (one.ended) {
      close_if_idle(index);
    } else if (!one.receiving) {
      starving_.push_back(index);
    }
  }

  void sent(std::uint32_t index, std::uint16_t used_buffer, int result) {
    connection& one = connections_[index];
    give_back(used_buffer);
    one.sending = false;
    if (result < 0)
      one.ended = true;
    if (!one.waiting.empty()) {
      const piece next = one.waiting.front();
      one.waiting.erase(one.waiting.begin());
      start_sending(index, next);
    } else if (one.ended) {
      close_if_idle(index);
    }
  }

  void close_if_idle(std::uint32_t index) {
    connection& one = connections_[index];
    if (one.sending || one.receiving)
      return;
    const int none = -1;
    require(io_uring_register_files_update(&ring_, index, &none, 1), "io_uring_register_files_update");
  }

  // Receives that ended because there was no buffer. A place may belong to another connection by now.
  void receive_again() {
    if (free_buffers_ == 0)
      return;
    for (const std::uint32_t index : starving_)
      if (!connections_[index].ended && !connections_[index].receiving)
        start_receiving(index);
    starving_.clear();
  }

  io_uring ring_{};
  std::size_t buffer_size_;
  std::size_t buffer_count_ = 0;
  std::size_t free_buffers_ = 0;
  char* buffers_ = nullptr;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  int listener_ = -1;
  std::vector<connection> connections_;
  std::vector<std::uint32_t> starving_;
};

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  echo_server::raise_descriptor_limit();
  server(options.buffer).run();
}
