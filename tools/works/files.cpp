// Reads, hashes (SHA-256) and compresses (zstd) every regular file of a folder: real input, mostly computing.
#include <fourfold/loop/sleep.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "text.hpp"
#include "work.hpp"
#include "works/file_digest.hpp"
#include "works/folder.hpp"
#include "works/models.hpp"

namespace fourfold::tool {
namespace {

// Every Debian machine has it, with files of all sizes that everybody may read.
const std::string default_folder = "/usr/bin";
// Of the default folder that much is read, which takes about a second; of a folder that was asked for,
// everything.
constexpr std::uint64_t default_bytes = 160'000'000;
// Files under way at the same time in one loop. Each has a compressor whose tables fill a cache, so that more
// of them would mainly evict each other.
constexpr std::size_t files_at_once = 2;

const std::string& folder_of(const settings& chosen) {
  return chosen.directory.empty() ? default_folder : chosen.directory;
}

void check_folder(const settings& chosen) {
  const std::string& path = folder_of(chosen);
  if (read_folder(path, true).files.empty()) {
    throw usage_error(fmt::format("{} holds no regular file that can be read", path));
  }
}

// Lets the other coroutines of the loop go on after every piece of a file.
task<file_record> digest_file_awaiting(file_job job) {
  file_digest file(job);
  while (file.step())
    co_await yield();
  co_return file.finish();
}

std::string shown(const std::vector<file_record>& records) {
  // Or the models that follow would seem to need this thread's memory, too.
  file_digest::release_idle_memory();
  sha256 all;
  std::uint64_t bytes = 0;
  std::uint64_t compressed = 0;
  std::size_t troubles = 0;
  for (const file_record& record : records) {
    all.add(record.sum.data(), record.sum.size());
    bytes += record.bytes;
    compressed += record.compressed_bytes;
    if (!record.trouble.empty())
      ++troubles;
  }
  std::string text =
      fmt::format("{} files, {} bytes, compressed to {}, SHA-256 of all {}", count_text(records.size()),
                  count_text(bytes), count_text(compressed), hexadecimal(all.finish()).substr(0, 16));
  if (troubles > 0)
    text += fmt::format(", {} of them no longer readable", troubles);
  return text;
}

// How fast this machine does the work, tried on the first files for a twentieth of a second.
double bytes_per_second(const std::vector<file_job>& files) {
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t bytes = 0;
  for (const file_job& job : files) {
    file_digest file(job);
    for (bool more = true; more;) {
      more = file.step();
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
      if (spent.count() > 0.05)
        return static_cast<double>(bytes + file.finish().bytes) / spent.count();
    }
    bytes += file.finish().bytes;
  }
  return std::numeric_limits<double>::infinity();
}

// Keeps as many files as together do not exceed `limit`, in their order and at least one. Returns their
// bytes.
std::uint64_t keep(std::vector<file_job>& files, double limit) {
  std::vector<file_job> kept;
  std::uint64_t bytes = 0;
  for (file_job& job : files) {
    if (static_cast<double>(bytes + job.size) > limit)
      continue;
    bytes += job.size;
    kept.push_back(std::move(job));
  }
  if (kept.empty()) {
    const auto smaller = [](const file_job& left, const file_job& right) { return left.size < right.size; };
    kept.push_back(std::move(*std::min_element(files.begin(), files.end(), smaller)));
    bytes = kept.front().size;
  }
  files = std::move(kept);
  return bytes;
}

std::string skipped_note(const std::vector<std::string>& skipped) {
  constexpr std::size_t named = 3;
  std::string text = fmt::format("skipped because unreadable: {}", skipped.front());
  for (std::size_t index = 1; index < std::min(named, skipped.size()); ++index)
    text += ", " + skipped[index];
  if (skipped.size() > named)
    text += fmt::format(" and {} more", skipped.size() - named);
  return text;
}

std::vector<model> models_of(const std::vector<file_job>& files, unsigned workers) {
  return {
      {"sequential", model_kind::sequential, [=] { return shown(sequentially(digest_file, files)); }},
      {"threads", model_kind::threads, [=] { return shown(on_threads(workers, digest_file, files)); }},
      {"processes", model_kind::processes, [=] { return shown(in_processes(workers, digest_file, files)); }},
      {"coroutines", model_kind::coroutines,
       [=] { return shown(with_coroutines(files_at_once, digest_file_awaiting, files)); },
       "one thread: files are read and computed one piece at a time"},
      {"hybrid", model_kind::hybrid,
       [=] { return shown(in_processes(workers, digest_file_awaiting, files, files_at_once)); }},
  };
}

part folder_part(const settings& chosen, double seconds) {
  const std::string& path = folder_of(chosen);
  folder found = read_folder(path);
  if (found.files.empty())
    throw usage_error(fmt::format("{} holds no regular file that can be read", path));
  part made;
  const std::size_t all_files = found.files.size();
  const std::uint64_t all_bytes = found.bytes;
  std::string why;
  if (chosen.directory.empty() && all_bytes > default_bytes) {
    found.bytes = keep(found.files, static_cast<double>(default_bytes));
    why = "as a sample; --dir reads the whole of a folder";
  }
  if (std::isfinite(seconds)) {
    // Sequential and coroutines do everything on one CPU, the other three share it among the workers.
    const double rounds = 2 + 3.0 / std::min(chosen.workers, chosen.cpus);
    const double limit = bytes_per_second(found.files) * seconds / rounds;
    if (static_cast<double>(found.bytes) > limit) {
      found.bytes = keep(found.files, limit);
      why = "to keep within --seconds";
    }
  }
  if (!why.empty()) {
    made.notes.push_back(fmt::format("{} of {} files ({} of {}), {}", count_text(found.files.size()),
                                     count_text(all_files), bytes_text(found.bytes), bytes_text(all_bytes),
                                     why));
  }
  if (!found.skipped.empty())
    made.notes.push_back(skipped_note(found.skipped));
  // The largest file first, or the last worker might begin it when the others are done.
  std::sort(found.files.begin(), found.files.end(), [](const file_job& left, const file_job& right) {
    return left.size != right.size ? left.size > right.size : left.path < right.path;
  });
  made.title = fmt::format("Read, hash and compress {} files of {} ({})", count_text(found.files.size()),
                           path, bytes_text(found.bytes));
  made.models = models_of(found.files, chosen.workers);
  return made;
}

} // namespace

work files_work() {
  return {"files",
          "SHA-256 and zstd of every file of a folder (--dir): real input",
          {{"folder", 2.5, folder_part}},
          false,
          check_folder};
}

} // namespace fourfold::tool
