#include <fourfold/base/errors.hpp>
#include <fourfold/base/lost_error.hpp>

#include <atomic>
#include <cstdio>

namespace fourfold {
namespace {

void write_line(const std::exception_ptr& lost, std::string_view where) noexcept {
  const auto say = [where](const char* what) {
    std::fprintf(stderr, "fourfold: %.*s: %s\n", static_cast<int>(where.size()), where.data(), what);
  };
  try {
    std::rethrow_exception(lost);
  } catch (const std::exception& e) {
    say(e.what());
  } catch (...) {
    say("an exception that is no std::exception");
  }
}

std::atomic<lost_error_handler> current_handler{&write_line};

} // namespace

lost_error_handler set_lost_error_handler(lost_error_handler handler) noexcept {
  const lost_error_handler before = current_handler.exchange(handler != nullptr ? handler : &write_line);
  return before == &write_line ? nullptr : before;
}

void tell_lost_error(const std::exception_ptr& lost, std::string_view where) noexcept {
  if (!is_cancelled(lost))
    current_handler.load()(lost, where);
}

} // namespace fourfold
