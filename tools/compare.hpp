// `fourfold compare`: the same work by every model, side by side.
#pragma once

#include <CLI/App.hpp>
#include <memory>

namespace fourfold::tool {

struct compare_options;

class compare_command {
 public:
  explicit compare_command(CLI::App& program);
  ~compare_command();

  bool chosen() const;
  // The exit status. Throws usage_error.
  int run();

 private:
  CLI::App* command_;
  std::unique_ptr<compare_options> options_;
};

} // namespace fourfold::tool
