// One file, read, hashed and compressed piece by piece, so that a file of any size takes little memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "works/digest.hpp"

struct ZSTD_CCtx_s; // of <zstd.h>

namespace fourfold::tool {

struct file_job {
  std::string path;
  std::uint64_t size =
      0; // as found when the folder was read; a file that grows meanwhile is read up to there
};

struct file_record {
  std::uint64_t bytes = 0;
  std::uint64_t compressed_bytes = 0;
  digest sum{};
  std::string trouble; // why the file could not be read to its end; empty otherwise
};

namespace detail {

// A zstd context, taken from and given back to those that the thread keeps: one is megabytes, and making it
// anew for each small file would cost more than the file. A file begins and ends on the same thread.
struct zstd_give_back {
  void operator()(ZSTD_CCtx_s* context) const;
};
using zstd_lease = std::unique_ptr<ZSTD_CCtx_s, zstd_give_back>;

} // namespace detail

class file_digest {
 public:
  explicit file_digest(const file_job& job);
  ~file_digest();
  file_digest(const file_digest&) = delete;
  file_digest& operator=(const file_digest&) = delete;

  // Processes the next piece of at most 1 MiB; false when there is none left.
  bool step();
  file_record finish();

  // Frees what this thread keeps between files.
  static void release_idle_memory();

 private:
  void compress(const char* data, std::size_t size, bool last);

  int file_ = -1;
  std::uint64_t left_;
  file_record record_;
  sha256 hash_;
  detail::zstd_lease zstd_;
};

// The whole file at once.
file_record digest_file(file_job job);

} // namespace fourfold::tool
