// A program that is linked in several ways, to see that workers come to be in each. Exits with 0 when all is well.

#include "functions_test.hpp"

#include <fourfold/base/errors.hpp>
#include <fourfold/process/process.hpp>
#include <fourfold/process/process_pool.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace {

using namespace std::chrono_literals;
using namespace fourfold;

// By a static initialiser of the executable, whose place among the library's is the linker's choice.
const std::string name_of_program = std::string("the program, ") + "initialised"; // NOLINT(cert-err58-cpp)
bool entered_main = false;

int add(int a, int b) { return a + b; }
std::string name() { return name_of_program; }

void check(bool condition, const char* what) {
  if (condition)
    return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::exit(1);
}

void check_pool(start_method start) {
  process_pool pool({.workers = 2, .start = start});
  check(pool.submit(add, 1, 2).get(60s) == 3, "a function of the program runs");
  check(pool.submit([](int n) { return n * n; }, 7).get(60s) == 49, "a lambda runs");
  check(pool.submit(name).get(60s) == "the program, initialised",
        "the program's static initialisers have run");
  check(pool.submit(twice_in_library, 21).get(60s) == 42, "a function of a library runs");
  check(pool.submit(name_of_library).get(60s) == "library number 1",
        "the library's static initialisers have run");
  check(!pool.submit([] { return entered_main; }).get(60s), "main() has not run in a worker");
  process p({.start = start}, [](int n) { std::exit(twice_in_library(n)); }, 3);
  check(p.join(60s).code == 6, "a process runs");
}

void check_all() {
  check_pool(start_method::from_template);
  check_pool(start_method::fresh_execution);
}

/// Puts `other` in the place of `file`, as an installation does: by renaming.
void replace(const std::filesystem::path& file, const std::filesystem::path& other) {
  const std::filesystem::path beside = file.string() + ".new";
  std::filesystem::copy_file(other, beside);
  std::filesystem::rename(beside, file);
}

/// The program has been replaced on disk since it has started.
void check_replaced_program(const char* self) {
  replace(self, "/bin/true");
  check_all();
}

/// A library of the program has.
void check_replaced_library(const char* library, const char* other) {
  check(name_of_library() == "library number 1", "the first library is loaded");
  replace(library, other);
  try {
    const process_pool pool({.workers = 1});
  } catch (const error& e) {
    std::puts(e.what());
    check(std::string_view(e.what()).find("a shared library was replaced on disk") != std::string_view::npos,
          "the error says what has happened");
    return;
  }
  check(false, "the other library is noticed");
}

/// A library is replaced after the template has started: it and what is forked from it have the old one.
void check_library_replaced_later(const char* library, const char* other) {
  process_pool forked({.workers = 1});
  check(forked.submit(name_of_library).get(60s) == "library number 1", "the first library is loaded");
  replace(library, other);
  check(forked.submit(name_of_library).get(60s) == "library number 1",
        "a forked worker has the first library");
  process_pool fresh({.workers = 1, .start = start_method::fresh_execution});
  try {
    fresh.submit(name_of_library).get(60s);
  } catch (const pool_closed& e) {
    std::puts(e.what());
    check(std::string_view(e.what()).find("a shared library was replaced on disk") != std::string_view::npos,
          "the error says what has happened");
    return;
  }
  check(false, "the other library is noticed by a fresh worker");
}

} // namespace

int main(int argc, char** argv) {
  entered_main = true;
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "replaced-program")
    check_replaced_program(argv[2]);
  else if (mode == "replaced-library")
    check_replaced_library(argv[2], argv[3]);
  else if (mode == "library-replaced-later")
    check_library_replaced_later(argv[2], argv[3]);
  else
    check_all();
  std::puts("all is well");
}
