// B15 and B16, Boost.Asio with completion handlers: async_read_some and async_write, one session object a
// connection, as in its echo server example.
#include "../support/echo_server.hpp"
#include "asio_tcp.hpp"

#include <cstddef>
#include <memory>
#include <utility>

namespace {

using namespace asio_loop;
using boost::system::error_code;

class session : public std::enable_shared_from_this<session> {
 public:
  session(asio_loop::socket stream, std::size_t size)
      : stream_(std::move(stream)), size_(size), memory_(std::make_unique_for_overwrite<char[]>(size)) {}

  void read() {
    stream_.async_read_some(asio::buffer(memory_.get(), size_),
                            [self = shared_from_this()](error_code failure, std::size_t n) {
                              if (!failure)
                                self->write(n);
                            });
  }

 private:
  void write(std::size_t count) {
    asio::async_write(stream_, asio::buffer(memory_.get(), count),
                      [self = shared_from_this()](error_code failure, std::size_t) {
                        if (!failure)
                          self->read();
                      });
  }

  asio_loop::socket stream_;
  std::size_t size_;
  std::unique_ptr<char[]> memory_;
};

void accept(acceptor& listener, std::size_t buffer) {
  listener.async_accept([&listener, buffer](error_code failure, asio_loop::socket stream) {
    if (!failure) {
      stream.set_option(tcp::no_delay(true));
      std::make_shared<session>(std::move(stream), buffer)->read();
    }
    accept(listener, buffer);
  });
}

} // namespace

int main(int argc, char** argv) {
  const measure::options options(argc, argv);
  echo_server::raise_descriptor_limit();
  context loop;
  acceptor listener(loop.get_executor(), tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  listener.listen(echo_server::backlog);
  echo_server::announce(listener.local_endpoint().port());
  accept(listener, options.buffer);
  loop.run();
}
