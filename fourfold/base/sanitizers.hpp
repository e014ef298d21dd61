#pragma once

namespace fourfold {
namespace detail {

// ThreadSanitizer's own, called only where it is there.
void tsan_acquire(void* x) noexcept __asm__("__tsan_acquire");
void tsan_release(void* x) noexcept __asm__("__tsan_release");

} // namespace detail

// Which sanitizer this is compiled for; g++ and clang say it differently.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool under_address_sanitizer = true;
#elif defined(__has_feature)
inline constexpr bool under_address_sanitizer = __has_feature(address_sanitizer);
#else
inline constexpr bool under_address_sanitizer = false;
#endif

#if defined(__SANITIZE_THREAD__)
inline constexpr bool under_thread_sanitizer = true;
#elif defined(__has_feature)
inline constexpr bool under_thread_sanitizer = __has_feature(thread_sanitizer);
#else
inline constexpr bool under_thread_sanitizer = false;
#endif

/// For ThreadSanitizer: what one thread did before `orders_before(x)` is seen by one that has come past
/// `orders_after(x)`, because the kernel orders the two in a way that it cannot see.
inline void orders_before([[maybe_unused]] void* x) noexcept {
  if constexpr (under_thread_sanitizer)
    detail::tsan_release(x);
}
inline void orders_after([[maybe_unused]] void* x) noexcept {
  if constexpr (under_thread_sanitizer)
    detail::tsan_acquire(x);
}

} // namespace fourfold
