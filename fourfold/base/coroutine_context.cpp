#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/base/errors.hpp>

namespace fourfold {

void coroutine_context::throw_no_context() {
  throw wrong_thread(
      "co_await outside of a loop: this awaitable belongs to a coroutine that a fourfold loop runs, on that "
      "loop's thread");
}

} // namespace fourfold
