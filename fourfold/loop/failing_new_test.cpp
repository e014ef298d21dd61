#include <fourfold/loop/failing_new_test.hpp>

#include <cstddef>
#include <cstdlib>
#include <new>

namespace fourfold::test {
namespace {

struct injection {
  /// How many more calls succeed; meaningful while `active`.
  std::size_t succeed = 0;
  bool active = false;
  failing how = failing::once;
  bool has_failed = false;
};

constinit thread_local injection injected;

bool is_to_fail() noexcept {
  if (!injected.active)
    return false;
  if (injected.succeed != 0) {
    --injected.succeed;
    return false;
  }
  if (injected.how == failing::once)
    injected.active = false;
  injected.has_failed = true;
  return true;
}

/// Null if it is to fail, or does.
void* allocate(std::size_t size) noexcept {
  // malloc may give null for nothing.
  return is_to_fail() ? nullptr : std::malloc(size != 0 ? size : 1);
}
void* allocate(std::size_t size, std::align_val_t alignment) noexcept {
  const auto a = static_cast<std::size_t>(alignment);
  return is_to_fail() ? nullptr : std::aligned_alloc(a, (size + a - 1) / a * a);
}

void* or_throw(void* memory) {
  if (memory == nullptr)
    throw std::bad_alloc();
  return memory;
}

} // namespace

failing_new::failing_new(std::size_t nth, failing how) noexcept {
  injected = {.succeed = nth - 1, .active = true, .how = how, .has_failed = false};
}

failing_new::~failing_new() { end(); }

bool failing_new::end() noexcept {
  injected.active = false;
  return injected.has_failed;
}

} // namespace fourfold::test

// For the whole program: every form, so that none is mixed with another's.
using fourfold::test::allocate;
using fourfold::test::or_throw;

void* operator new(std::size_t size) { return or_throw(allocate(size)); }
void* operator new[](std::size_t size) { return or_throw(allocate(size)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return or_throw(allocate(size, alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return or_throw(allocate(size, alignment));
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, alignment);
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, alignment);
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept { std::free(memory); }
