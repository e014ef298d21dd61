#include <fourfold/base/errors.hpp>
#include <fourfold/loop/detail/epoll_reactor.hpp>
#include <fourfold/loop/detail/reactor.hpp>
#include <fourfold/loop/detail/uring_reactor.hpp>

#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace fourfold::detail {

void io_operation::occupy_slot() {
  io_operation*& place = slot();
  if (place != nullptr)
    throw error("another task already waits for this descriptor in the same direction");
  place = this;
}

void io_operation::complete(std::ptrdiff_t r) noexcept {
  slot() = nullptr;
  result = r;
  std::exchange(parked, nullptr)->wake();
}

std::unique_ptr<reactor> make_reactor() {
  const char* named = std::getenv("FOURFOLD_REACTOR");
  const std::string_view wanted = named == nullptr ? "" : named;
  if (wanted == "epoll")
    return std::make_unique<epoll_reactor>();
  if (wanted == "io_uring")
    return std::make_unique<uring_reactor>();
  if (!wanted.empty()) {
    throw error("FOURFOLD_REACTOR is '" + std::string(wanted) +
                "', but there are only 'io_uring' and 'epoll'");
  }
  try {
    return std::make_unique<uring_reactor>();
  } catch (const std::system_error&) {
    return std::make_unique<epoll_reactor>(); // an old kernel, or a sandbox that forbids it
  }
}

} // namespace fourfold::detail
