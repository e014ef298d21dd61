// B15 and B16, libuv: uv_read_start with one receive buffer for all connections (alloc_cb may hand it out
// again once read_cb has returned), and uv_try_write, which writes at once. What the kernel does not take is
// copied for uv_write, and the connection is not read until that is done.
#include "../support/echo_server.hpp"

#include <cstddef>
#include <vector>

#include <uv.h>

namespace {

std::vector<char> received;

struct connection {
  uv_tcp_t socket;
  uv_write_t request;
  std::vector<char> unsent;
};

void require(int result, const char* call) {
  if (result < 0)
    measure::fail(std::string(call) + ": " + uv_strerror(result));
}

connection& connection_of(void* data) { return *static_cast<connection*>(data); }

void end(connection& one) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&one.socket);
  if (uv_is_closing(handle) == 0)
    uv_close(handle, [](uv_handle_t* closed) { delete &connection_of(closed->data); });
}

void lend_buffer(uv_handle_t*, std::size_t, uv_buf_t* buffer) {
  *buffer = uv_buf_init(received.data(), static_cast<unsigned>(received.size()));
}

void echo(uv_stream_t* stream, ssize_t count, const uv_buf_t*);

void written(uv_write_t* request, int status) {
  connection& one = connection_of(request->data);
  if (status < 0)
    return end(one);
  require(uv_read_start(reinterpret_cast<uv_stream_t*>(&one.socket), lend_buffer, echo), "uv_read_start");
}

void echo(uv_stream_t* stream, ssize_t count, const uv_buf_t*) {
  connection& one = connection_of(stream->data);
  if (count < 0)
    return end(one);
  if (count == 0)
    return;
  const uv_buf_t all = uv_buf_init(received.data(), static_cast<unsigned>(count));
  int sent = uv_try_write(stream, &all, 1);
  if (sent < 0 && sent != UV_EAGAIN)
    return end(one);
  sent = std::max(sent, 0);
  if (sent == count)
    return;
  uv_read_stop(stream);
  one.unsent.assign(received.data() + sent, received.data() + count);
  const uv_buf_t rest = uv_buf_init(one.unsent.data(), static_cast<unsigned>(one.unsent.size()));
  one.request.data = &one;
  require(uv_write(&one.request, stream, &rest, 1, written), "uv_write");
}

void accept(uv_stream_t* listener, int status) {
  require(status, "listen");
  auto* one = new connection{};
  require(uv_tcp_init(listener->loop, &one->socket), "uv_tcp_init");
  one->socket.data = one;
  auto* stream = reinterpret_cast<uv_stream_t*>(&one->socket);
  require(uv_accept(listener, stream), "uv_accept");
  require(uv_tcp_nodelay(&one->socket, 1), "uv_tcp_nodelay");
  require(uv_read_start(stream, lend_buffer, echo), "uv_read_start");
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  echo_server::raise_descriptor_limit();
  received.resize(options.buffer);

  uv_loop_t loop;
  require(uv_loop_init(&loop), "uv_loop_init");
  uv_tcp_t listener;
  require(uv_tcp_init(&loop, &listener), "uv_tcp_init");
  sockaddr_in address{};
  require(uv_ip4_addr("127.0.0.1", 0, &address), "uv_ip4_addr");
  require(uv_tcp_bind(&listener, reinterpret_cast<const sockaddr*>(&address), 0), "uv_tcp_bind");
  require(uv_listen(reinterpret_cast<uv_stream_t*>(&listener), echo_server::backlog, accept), "uv_listen");
  uv_os_fd_t fd = -1;
  require(uv_fileno(reinterpret_cast<const uv_handle_t*>(&listener), &fd), "uv_fileno");
  echo_server::announce(echo_server::port_of(fd));
  uv_run(&loop, UV_RUN_DEFAULT);
}
