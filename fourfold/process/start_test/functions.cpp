#include "functions_test.hpp"

namespace {
// By a static initialiser of the library.
std::string name =
    std::string("library number ") + std::to_string(FUNCTIONS_VERSION); // NOLINT(cert-err58-cpp)
} // namespace

#if FUNCTIONS_VERSION == 2
// Moves what follows it.
int something_before(int n) {
  int sum = 0;
  for (int i = 0; i < n; ++i)
    sum += i * i;
  return sum;
}
#endif

int twice_in_library(int n) { return 2 * n; }
std::string name_of_library() { return name; }
