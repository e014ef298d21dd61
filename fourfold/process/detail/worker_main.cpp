#include <fourfold/base/context_value.hpp>
#include <fourfold/base/cpu_count.hpp>
#include <fourfold/loop/async_descriptor.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/process/code_address.hpp>
#include <fourfold/process/detail/call_thunk.hpp>
#include <fourfold/process/detail/cancellation_listener.hpp>
#include <fourfold/process/detail/exception_codec.hpp>
#include <fourfold/process/detail/fault_point.hpp>
#include <fourfold/process/detail/sandbox.hpp>
#include <fourfold/process/detail/spin_budget.hpp>
#include <fourfold/process/detail/template_process.hpp>
#include <fourfold/process/detail/throw_site.hpp>
#include <fourfold/process/detail/worker_channel.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <unordered_map>

namespace fourfold::detail {
namespace {

/// A worker process: takes calls from its ring, runs them, and writes their results.
class worker {
 public:
  worker(const start_request& request, channel_descriptors channel)
      : descriptors_(std::move(channel)),
        memory_(descriptors_.memory.get()),
        header_(memory_.header()),
        calls_(header_.calls, memory_.call_bytes()),
        results_(header_.results, memory_.result_bytes()),
        listener_(header_),
        cpu_seconds_(request.cpu_seconds),
        spin_(std::chrono::microseconds(cpu_count() > 1 ? request.spin_microseconds : 0)) {}

  task<> serve() {
    header_.serves.store(1);
    fault_point(fault_step::worker_serves);
    auto bell = async_descriptor::to_watch(::fcntl(descriptors_.worker_bell.get(), F_DUPFD_CLOEXEC, 0));
    while (!finishing_ || !coroutines_.empty()) {
      run_calls();
      if (finishing_ && coroutines_.empty())
        break;
      if (coroutines_.empty()) {
        if (!spin_.look([this] { return !calls_.empty(); }))
          sleep();
        continue;
      }
      // Coroutines run while we wait, so the loop is what sleeps; let them run before the first look, too.
      header_.worker_sleeps.store(1);
      if (calls_.empty()) {
        tell_of_room();
        drop_left_over_descriptors();
        co_await bell.readable();
        // A coroutine that slept for room, in the same turn of the loop, may have taken the ring.
        if (bell_rung())
          drain_bell();
      }
      header_.worker_sleeps.store(0);
      co_await yield();
    }
  }

 private:
  struct started_coroutine {
    future<void> task;
    bool has_begun = false;
  };

  void run_calls() {
    message_header call;
    // Also after the message to finish: coroutines are still cancelled by messages.
    while (calls_.read(call, payload_)) {
      fault_point(fault_step::worker_took_call);
      if (!receive_descriptors(call))
        continue;
      if (cpu_seconds_ != 0)
        renew_cpu_time(cpu_seconds_);
      if ((call.kind & report_begin) != 0) {
        send(byte_buffer(), result_kind::begun, call.number, clock::now());
        fault_point(fault_step::worker_reported_begin);
      }
      switch (static_cast<call_kind>(call.kind & ~(through_descriptor | with_attachments | report_begin))) {
      case call_kind::function: run_function(call.number); break;
      case call_kind::coroutine: start_coroutine(call.number); break;
      case call_kind::cancel: cancel_coroutine(call.number); break;
      case call_kind::finish:
        finishing_ = true;
        fault_point(fault_step::worker_finishes);
        break;
      }
      // With coroutines alive they get their turn between calls.
      if (!coroutines_.empty())
        return;
    }
  }

  /// False: that failed, and is the result of the call.
  bool receive_descriptors(const message_header& call) {
    if ((call.kind & (through_descriptor | with_attachments)) == 0)
      return true;
    const auto begin = clock::now();
    try {
      receive_descriptors_or_throw(call);
      return true;
    } catch (const std::exception&) { // no room in memory, or no descriptor left
      send_exception(call.number, begin);
      let_go();
      return false;
    }
  }

  void receive_descriptors_or_throw(const message_header& call) {
    received_message message;
    std::uint64_t number = 0;
    do { // those of calls that were taken back are passed over
      message = receive_with_descriptors(descriptors_.socket.get(),
                                         std::as_writable_bytes(std::span(&number, 1)), true);
    } while (message.what == received_message::state::message && number != call.number);
    std::span<unique_fd> descriptors(message.descriptors);
    if ((call.kind & through_descriptor) != 0) {
      const shared_mapping mapping = map_sealed_message(descriptors[0].get());
      payload_.clear();
      payload_.append(mapping.bytes());
      descriptors = descriptors.subspan(1);
    }
    attach_received(payload_, descriptors);
    fault_point(fault_step::worker_received_large_call);
  }

  template <class Thunk>
  static Thunk thunk_of(decoder& in) {
    const auto module = in.read<std::uint64_t>();
    const auto offset = in.read<std::uint64_t>();
    return reinterpret_cast<Thunk>(
        const_cast<void*>(from_code_address({.module = module, .offset = offset})));
  }

  void run_function(std::uint64_t number) {
    const auto begin = clock::now();
    result_.clear();
    try {
      {
        const cancellation_listener::running scope(listener_, number);
        watch_throws([this] {
          decoder in(payload_.bytes(), payload_.attachments());
          const context_scope bound(decode_context(in));
          thunk_of<function_thunk>(in)(in, result_);
        });
      }
      require_few_attachments(result_);
      fault_point(fault_step::worker_ran_function);
      send(result_, result_kind::value, number, begin);
    } catch (...) {
      send_exception(number, begin, &describe_throw_site);
    }
    let_go();
  }

  void start_coroutine(std::uint64_t number) {
    const auto begin = clock::now();
    try {
      decoder in(payload_.bytes(), payload_.attachments());
      const context_scope bound(decode_context(in)); // inherited by the spawned task
      auto& started = coroutines_[number];
      started.task = spawn(run_coroutine(number, thunk_of<coroutine_thunk>(in)(in), begin));
      fault_point(fault_step::worker_started_coroutine);
    } catch (...) {
      coroutines_.erase(number);
      send_exception(number, begin);
    }
    let_go();
  }

  task<> run_coroutine(std::uint64_t number, task<byte_buffer> work, clock::time_point begin) {
    coroutines_.at(number).has_begun = true;
    try {
      result_ = co_await std::move(work);
      require_few_attachments(result_);
      fault_point(fault_step::worker_ended_coroutine);
      send(result_, result_kind::value, number, begin);
    } catch (...) {
      send_exception(number, begin);
    }
    let_go();
    // Its future stands in the map; dropping it while this coroutine still runs only drops a reference.
    coroutines_.erase(number);
    // The loop may sleep in serve() with nothing left to wake it when this was the last one.
    if (coroutines_.empty())
      ring_bell(descriptors_.worker_bell.get());
  }

  /// What travelled beside a call and its result is closed and unmapped here, once the result is on its way:
  /// nobody waits for that.
  void let_go() noexcept {
    if (payload_.has_attachments())
      payload_.clear();
    if (result_.has_attachments())
      result_.clear();
  }

  void cancel_coroutine(std::uint64_t number) {
    const auto found = coroutines_.find(number);
    if (found == coroutines_.end())
      return;
    found->second.task.cancel();
    fault_point(fault_step::worker_cancelled_coroutine);
    if (found->second.has_begun)
      return;
    // It never will, and so it will not send its result.
    coroutines_.erase(found);
    try {
      throw_cancelled();
    } catch (...) {
      send_exception(number, clock::now());
    }
  }

  // A failure in here ends the worker, as it must: the pool would wait for this result for ever.
  void send_exception(std::uint64_t number, clock::time_point begin,
                      std::string (*backtrace)() = nullptr) noexcept {
    fault_point(fault_step::worker_caught_exception);
    result_.clear();
    encoder out(result_);
    encode_exception(out, std::current_exception(), backtrace);
    send(result_, result_kind::exception, number, begin);
  }

  void send(const byte_buffer& result, result_kind kind, std::uint64_t number, clock::time_point begin) {
    const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(clock::now() - begin).count();
    message_header header{.size = 0,
                          .kind = static_cast<std::uint32_t>(kind),
                          .number = number,
                          .duration = static_cast<std::uint64_t>(took)};
    std::span<const std::byte> payload = result.bytes();
    unique_fd message;
    if (payload.size() > results_.largest_payload()) {
      message = make_sealed_message(payload);
      fault_point(fault_step::worker_sealed_large_result);
      header.kind |= through_descriptor;
      payload = {};
    }
    if (result.has_attachments())
      header.kind |= with_attachments;
    if (message || result.has_attachments()) {
      if (!send_attached(descriptors_.socket.get(), number, message.get(), result, false)) {
        // Too many are in flight, and nobody may be collecting results. Or the pool has gone, and takes us with it.
        ask_for_collection();
        static_cast<void>(send_attached(descriptors_.socket.get(), number, message.get(), result, true));
      }
      fault_point(fault_step::worker_sent_large_result);
    }
    header.size = static_cast<std::uint32_t>(payload.size());
    bool waited = false;
    while (!results_.write(header, payload)) {
      wait_for_room();
      waited = true;
    }
    fault_point(fault_step::worker_wrote_result);
    // That sleep may have taken the ring of a call that serve() waits for.
    if (waited && !calls_.empty())
      ring_bell(descriptors_.worker_bell.get());
    if (header_.bell_wanted.load() == 0)
      return;
    switch (static_cast<result_bell>(header_.bell_wanted.exchange(0))) {
    case result_bell::none: break;
    case result_bell::service: ring_bell(descriptors_.service_bell.get()); break;
    case result_bell::driver: ring_bell(descriptors_.driver_bell.get()); break;
    }
    fault_point(fault_step::worker_rang);
  }

  void wait_for_room() {
    header_.wants_room.store(1);
    fault_point(fault_step::worker_waits_for_room);
    ask_for_collection();
    drain_bell();
  }

  /// Nobody may be collecting results, for nobody waits for any; now somebody must.
  void ask_for_collection() const noexcept {
    ring_bell(descriptors_.service_bell.get());
    ring_bell(descriptors_.driver_bell.get());
  }

  /// All messages have been read, skipped ones included: whoever found no room for a call finds it now.
  void tell_of_room() noexcept {
    if (header_.wants_call_room.exchange(0) != 0)
      ring_bell(descriptors_.service_bell.get());
  }

  /// What travelled with a call that was taken back lies in the socket, where it counts as in use: the end of a
  /// queue would not be told while it does.
  void drop_left_over_descriptors() {
    const int socket = descriptors_.socket.get();
    for (;;) {
      std::uint64_t number = 0;
      if (::recv(socket, &number, sizeof number, MSG_PEEK | MSG_DONTWAIT) <= 0)
        return;
      // A call is written to its ring before its descriptors are sent, so only the next call's are needed.
      if (!calls_.empty())
        return;
      static_cast<void>(
          receive_with_descriptors(socket, std::as_writable_bytes(std::span(&number, 1)), false));
    }
  }

  /// Sleeps until rung, unless a call has come meanwhile.
  void sleep() {
    header_.worker_sleeps.store(1);
    fault_point(fault_step::worker_announced_sleep);
    if (calls_.empty()) {
      tell_of_room();
      drop_left_over_descriptors();
      std::fflush(nullptr);
      drain_bell();
      fault_point(fault_step::worker_woke);
    }
    header_.worker_sleeps.store(0);
  }

  [[nodiscard]] bool bell_rung() const noexcept {
    pollfd bell{.fd = descriptors_.worker_bell.get(), .events = POLLIN, .revents = 0};
    return ::poll(&bell, 1, 0) > 0;
  }

  /// Takes what the bell has rung, sleeping until it has.
  void drain_bell() const noexcept { sleep_at_bell(descriptors_.worker_bell.get()); }

  channel_descriptors descriptors_;
  channel_memory memory_;
  channel_header& header_;
  ring_reader calls_;
  ring_writer results_;
  cancellation_listener listener_;
  std::uint32_t cpu_seconds_; // for each call; 0: no limit
  spin_budget spin_;
  byte_buffer payload_;
  byte_buffer result_;
  std::unordered_map<std::uint64_t, started_coroutine> coroutines_;
  bool finishing_ = false;
};

[[noreturn]] void end_after(const std::exception& e) {
  std::fprintf(stderr, "fourfold: a pool worker ends: %s\n", e.what());
  std::fflush(nullptr);
  ::_exit(1);
}

/// Ends the process inside of the loop, whose own end would cancel the coroutines that are left, and they would send
/// that as their results.
task<> serve_to_the_end(worker& self) {
  try {
    co_await self.serve();
  } catch (const std::exception& e) {
    end_after(e);
  }
  std::fflush(nullptr);
  // Not exit(): static destructors and exit handlers belong to main(), which never ran here.
  ::_exit(0); // with `self` alive, for the thread that listens
}

} // namespace

void serve_as_worker(const start_request& request, channel_descriptors channel) {
  try {
    worker self(request, std::move(channel));
    loop().run(serve_to_the_end(self)); // Ctrl-C is for the program to handle
  } catch (const std::exception& e) {
    end_after(e);
  }
  ::_exit(1); // serve_to_the_end() does not return
}

} // namespace fourfold::detail
