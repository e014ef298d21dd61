#include <fourfold/thread/this_thread.hpp>

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace fourfold {
namespace {

// The kernel's TASK_COMM_LEN, with the final zero.
constexpr std::size_t name_size = 16;

} // namespace

std::string this_thread_name() {
  std::array<char, name_size> name{};
  pthread_getname_np(pthread_self(), name.data(), name.size());
  return name.data();
}

void set_this_thread_name(std::string_view name) noexcept {
  std::array<char, name_size> shortened{};
  std::copy_n(name.begin(), std::min(name.size(), name_size - 1), shortened.begin());
  pthread_setname_np(pthread_self(), shortened.data());
}

std::string log_prefix() {
  using namespace std::chrono;
  const auto now = floor<microseconds>(system_clock::now().time_since_epoch());
  const std::time_t seconds_part = floor<seconds>(now).count();
  const auto fraction = static_cast<long>((now - floor<seconds>(now)).count());
  std::tm utc{};
  gmtime_r(&seconds_part, &utc);
  std::array<char, 96> text{};
  const std::size_t date = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  const long thread = syscall(SYS_gettid);
  std::snprintf(text.data() + date, text.size() - date, ".%06ldZ %d/%ld %s", fraction, getpid(), thread,
                this_thread_name().c_str());
  return text.data();
}

} // namespace fourfold
