// A file that is written at the end of a long run, and whose troubles are found at its beginning.
#pragma once

#include <string>
#include <string_view>

namespace fourfold::tool {

class output_file {
 public:
  // Opens without truncating, so that an earlier file stays as it was until there is something to replace it
  // with. For a regular file, `expected_bytes` are reserved: a full disk is found now and not after minutes
  // of measuring. Throws usage_error with a line that names the file and the reason.
  output_file(std::string path, std::size_t expected_bytes);
  // Removes a file that this object created and never wrote.
  ~output_file();
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;

  // Replaces the content. Every step up to the close is checked; throws usage_error. Call once.
  void write(std::string_view text);

  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void fail(int code);

  std::string path_;
  int descriptor_ = -1;
  bool created_ = false;
  bool regular_ = false;
};

} // namespace fourfold::tool
