#pragma once

#include <cstdlib>
#include <string>
#include <utility>

namespace fourfold::detail {

// Where an exception was thrown, for one that is caught far away. An exception is raised in two phases: the first only
// looks for a handler, on the stack as it is, and the second unwinds. A handler is looked at by asking the type that it
// names whether it catches what was thrown. `throw_watcher` is a type whose type_info is our own: asked, it notes the
// stack, and says no.

/// Nothing is ever thrown of this type. Its destructor has no body anywhere, so that its type_info is what we define.
class throw_watcher {
 public:
  virtual ~throw_watcher();
};

/// The stack between a call of watch_throws() and what it throws.
class throw_site_scope {
 public:
  throw_site_scope() noexcept;
  ~throw_site_scope();
  throw_site_scope(const throw_site_scope&) = delete;
  throw_site_scope& operator=(const throw_site_scope&) = delete;
};

/// Calls `f()`; where an exception that leaves it was thrown is kept for describe_throw_site().
template <class F>
void watch_throws(F&& f) {
  const throw_site_scope scope;
  try {
    std::forward<F>(f)();
  } catch (const throw_watcher&) {
    std::abort(); // never: it catches nothing
  }
}

/// A line a function, innermost first, of the last exception that left a watch_throws() on this thread; once.
[[nodiscard]] std::string describe_throw_site();

} // namespace fourfold::detail
