// Boost.Asio for a loop on one thread, as its documentation advises, with concrete executors instead of
// type-erased ones. Built twice by bench/CMakeLists.txt:
//   with BOOST_ASIO_DISABLE_THREADS   its fastest documented mode: no locks, so nothing may be posted from
//   another thread without it                        concurrency hint 1: thread-safe, which is what
//   Fourfold's loop always is
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>

namespace asio_loop {

namespace asio = boost::asio;

using executor = asio::io_context::executor_type;
template <class T = void>
using awaitable = asio::awaitable<T, executor>;
using timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, executor>;
constexpr asio::use_awaitable_t<executor> use_awaitable;

#ifdef BOOST_ASIO_DISABLE_THREADS
constexpr int concurrency_hint = BOOST_ASIO_CONCURRENCY_HINT_UNSAFE;
#else
constexpr int concurrency_hint = 1;
#endif

struct context : asio::io_context {
  context() : asio::io_context(concurrency_hint) {}
};

} // namespace asio_loop
