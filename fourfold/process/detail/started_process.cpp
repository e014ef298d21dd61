// What a process that the template has started does before, and around, what it is for.

#include <fourfold/base/errors.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/process/detail/carried_call.hpp>
#include <fourfold/process/detail/process_setup.hpp>
#include <fourfold/process/detail/sandbox.hpp>
#include <fourfold/process/detail/template_process.hpp>

#include <cxxabi.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <typeinfo>

namespace fourfold::detail {
namespace {

template <class Thunk>
Thunk thunk_of(decoder& in) {
  const auto module = in.read<std::uint64_t>();
  const auto offset = in.read<std::uint64_t>();
  return reinterpret_cast<Thunk>(const_cast<void*>(from_code_address({.module = module, .offset = offset})));
}

std::string readable_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  return status == 0 && name ? name.get() : type.name();
}

task<> run_to_end(task<byte_buffer> work) { static_cast<void>(co_await std::move(work)); }

/// "std::runtime_error: text", of the exception that is being handled.
std::string describe_exception() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  std::string name = type == nullptr ? "an unknown exception" : readable_name(*type);
  try {
    throw;
  } catch (const std::exception& e) {
    return name + ": " + e.what();
  } catch (...) {
    return name;
  }
}

process_setup setup_in(received_message& message, std::size_t place) {
  return decode_setup(message.descriptors[place].get());
}

[[noreturn]] void end_with(int status) {
  std::fflush(nullptr);
  // Not exit(): static destructors and exit handlers belong to main(), which never ran here.
  ::_exit(status);
}

/// Tells the pool why no worker of its can serve, and ends.
[[noreturn]] void refuse_to_serve(channel_header& header, const std::string& why) {
  std::copy_n(why.begin(), std::min(why.size(), header.why_not.size() - 1), header.why_not.begin());
  header.cannot_serve.store(1);
  end_with(cannot_serve_status);
}

[[noreturn]] void begin_worker(start_request request, received_message& message) {
  channel_descriptors channel{.memory = std::move(message.descriptors[0]),
                              .worker_bell = std::move(message.descriptors[1]),
                              .driver_bell = std::move(message.descriptors[2]),
                              .service_bell = std::move(message.descriptors[3]),
                              .socket = std::move(message.descriptors[4])};
  if (request.other_build || request.has_setup) {
    // Unmapped never: a denied system call is written into it at any time.
    static std::optional<channel_memory> memory;
    memory.emplace(channel.memory.get());
    channel_header& header = memory->header();
    const char* what = "";
    try {
      if (request.other_build)
        throw error("a shared library was replaced on disk since the program has started");
      what = "the setup could not be read: ";
      const process_setup setup = setup_in(message, channel_descriptors::count);
      message.descriptors[channel_descriptors::count].reset();
      what = "the initialiser failed: ";
      if (!setup.call.bytes.empty())
        run_carried_call(setup.call);
      what = "the sandbox could not be entered: ";
      if (setup.sandbox) {
        enter_sandbox(*setup.sandbox, &header.denied);
        request.cpu_seconds = static_cast<std::uint32_t>(setup.sandbox->cpu_time.count());
      }
    } catch (...) {
      refuse_to_serve(header, what + describe_exception());
    }
  }
  serve_as_worker(request, std::move(channel));
}

[[noreturn]] void begin_process(const start_request& request, received_message& message) {
  int status = 0;
  try {
    if (request.other_build)
      throw error("a shared library was replaced on disk since the program has started");
    const process_setup setup = setup_in(message, 0);
    message.descriptors[0].reset();
    if (setup.sandbox) {
      enter_sandbox(*setup.sandbox, nullptr);
      if (setup.sandbox->cpu_time.count() != 0)
        renew_cpu_time(static_cast<std::uint32_t>(setup.sandbox->cpu_time.count()));
    }
    run_carried_call(setup.call);
  } catch (...) {
    std::fprintf(stderr, "fourfold: the process '%s' ends: %s\n", request.name.data(),
                 describe_exception().c_str());
    status = 1;
  }
  end_with(status);
}

} // namespace

unique_fd encode_setup(const process_setup& setup) { return make_sealed_message(encode(setup).bytes()); }

process_setup decode_setup(int fd) {
  const shared_mapping bytes = map_sealed_message(fd);
  return decode<process_setup>(bytes.bytes());
}

void run_carried_call(const carried_call& call) {
  decoder in(call.bytes);
  if (call.is_coroutine) {
    run(run_to_end(thunk_of<coroutine_thunk>(in)(in)), {.handle_interrupt = false});
  } else {
    byte_buffer result;
    thunk_of<function_thunk>(in)(in, result);
  }
}

void begin_started_process(start_request request, received_message& message) {
  ::prctl(PR_SET_NAME, request.name.data());
  if (request.what == start_request::role::process)
    begin_process(request, message);
  begin_worker(request, message);
}

} // namespace fourfold::detail
