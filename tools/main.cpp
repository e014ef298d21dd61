// The `fourfold` program: one subcommand a file.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <string>

#include "compare.hpp"
#include "errors.hpp"
#include "serve_pages.hpp"
#include "terminal.hpp"
#include "version.hpp"

namespace {

using namespace fourfold::tool;

// Errors are one line, whatever the text's origin.
int fail(std::string text) {
  for (char& character : text) {
    if (character == '\n')
      character = ' ';
  }
  write_all(STDERR_FILENO, fmt::format("fourfold: {}\n", text));
  return exit_unusable;
}

int run(int count, char** arguments) {
  CLI::App program("One await, four places to run: this loop, a thread, another process, another machine.",
                   "fourfold");
  program.set_version_flag("--version", std::string("fourfold ") + version);
  // At most one here, so that a mistyped one is named; none is refused below.
  program.require_subcommand(0, 1);
  compare_command compare(program);
  serve_pages_command serve_pages(program);
  try {
    program.parse(count, arguments);
  } catch (const CLI::Success& asked) {
    return program.exit(asked); // --help and --version
  } catch (const CLI::ParseError& error) {
    return fail(fmt::format("{} (see fourfold {}--help)", error.what(), compare.chosen() ? "compare " : ""));
  }
  if (serve_pages.chosen())
    return serve_pages.run();
  if (!compare.chosen())
    return fail("a subcommand is required (see fourfold --help)");
  return compare.run();
}

} // namespace

int main(int count, char** arguments) {
  try {
    return run(count, arguments);
  } catch (const std::exception& error) {
    return fail(error.what());
  }
}
