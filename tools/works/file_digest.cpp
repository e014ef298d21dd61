#include "works/file_digest.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

namespace fourfold::tool {
namespace {

constexpr std::size_t piece_size = std::size_t{1024} * 1024;
constexpr int level = 3; // zstd's default

// Used within one step only, so that the coroutines of a thread share them.
std::vector<char>& piece_buffer() {
  thread_local std::vector<char> buffer;
  buffer.resize(piece_size);
  return buffer;
}
std::vector<char>& output_buffer() {
  thread_local std::vector<char> buffer;
  buffer.resize(::ZSTD_CStreamOutSize());
  return buffer;
}

struct free_context {
  void operator()(ZSTD_CCtx* context) const { ::ZSTD_freeCCtx(context); }
};
std::vector<std::unique_ptr<ZSTD_CCtx, free_context>>& idle_contexts() {
  thread_local std::vector<std::unique_ptr<ZSTD_CCtx, free_context>> contexts;
  return contexts;
}

detail::zstd_lease take_context(std::uint64_t size) {
  auto& idle = idle_contexts();
  if (idle.empty())
    idle.emplace_back(::ZSTD_createCCtx());
  detail::zstd_lease taken(idle.back().release());
  idle.pop_back();
  if (!taken)
    throw std::bad_alloc();
  ::ZSTD_CCtx_reset(taken.get(), ZSTD_reset_session_and_parameters);
  ::ZSTD_CCtx_setParameter(taken.get(), ZSTD_c_compressionLevel, level);
  ::ZSTD_CCtx_setPledgedSrcSize(taken.get(), size); // lets zstd work with less memory on a small file
  return taken;
}

} // namespace

void detail::zstd_give_back::operator()(ZSTD_CCtx_s* context) const { idle_contexts().emplace_back(context); }

void file_digest::release_idle_memory() {
  idle_contexts().clear();
  piece_buffer() = {};
  output_buffer() = {};
}

file_digest::file_digest(const file_job& job) : left_(job.size), zstd_(take_context(job.size)) {
  file_ = ::open(job.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (file_ < 0) {
    record_.trouble = std::generic_category().message(errno);
    left_ = 0;
  }
}

file_digest::~file_digest() {
  if (file_ >= 0)
    ::close(file_);
}

bool file_digest::step() {
  if (left_ == 0)
    return false;
  std::vector<char>& buffer = piece_buffer();
  const ssize_t got =
      ::read(file_, buffer.data(), static_cast<std::size_t>(std::min<std::uint64_t>(left_, piece_size)));
  if (got < 0 && errno == EINTR)
    return true;
  if (got <= 0) {
    record_.trouble = got < 0 ? std::generic_category().message(errno) : "shorter than it was";
    left_ = 0;
    return false;
  }
  const auto size = static_cast<std::size_t>(got);
  left_ -= size;
  record_.bytes += size;
  hash_.add(buffer.data(), size);
  compress(buffer.data(), size, false);
  return left_ > 0;
}

file_record file_digest::finish() {
  // zstd would reject the end of a file that is shorter than it was said to be.
  if (record_.trouble.empty())
    compress(nullptr, 0, true);
  record_.sum = hash_.finish();
  return std::move(record_);
}

void file_digest::compress(const char* data, std::size_t size, bool last) {
  std::vector<char>& output = output_buffer();
  ZSTD_inBuffer in{data, size, 0};
  for (;;) {
    ZSTD_outBuffer out{output.data(), output.size(), 0};
    const std::size_t rest =
        ::ZSTD_compressStream2(zstd_.get(), &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    if (::ZSTD_isError(rest) != 0)
      throw std::runtime_error(std::string("zstd: ") + ::ZSTD_getErrorName(rest));
    record_.compressed_bytes += out.pos;
    if (last ? rest == 0 : in.pos == in.size)
      return;
  }
}

file_record digest_file(file_job job) {
  file_digest file(job);
  while (file.step()) {
  }
  return file.finish();
}

} // namespace fourfold::tool
