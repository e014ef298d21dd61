#pragma once

#include <type_traits>

namespace fourfold {

/// Whether calling a function with result `R` only makes a coroutine that some loop must still run. A place
/// that has no loop refuses such a function at compile time. The floor that has the coroutine type
/// specialises it:
///
///   template <class T> struct is_coroutine_result<task<T>> : std::true_type {};
template <class R>
struct is_coroutine_result : std::false_type {};

template <class R>
inline constexpr bool is_coroutine_result_v = is_coroutine_result<std::remove_cvref_t<R>>::value;

} // namespace fourfold
