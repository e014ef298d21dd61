// The regular files below a folder.
#pragma once

#include <string>
#include <vector>

#include "works/file_digest.hpp"

namespace fourfold::tool {

struct folder {
  std::vector<file_job> files;      // that this process may read, by path; symbolic links are not followed
  std::vector<std::string> skipped; // "path: reason" of files and folders that it may not
  std::uint64_t bytes = 0;
};

// With `first_only` it stops at the first file. Throws usage_error when `path` is no folder or cannot be
// read.
folder read_folder(const std::string& path, bool first_only = false);

} // namespace fourfold::tool
