#include <fourfold/base/misuse.hpp>

#include <cstdio>
#include <cstdlib>

namespace fourfold {

void misuse(const char* sentence) noexcept {
  std::fprintf(stderr, "fourfold: misuse: %s\n", sentence);
  std::abort();
}

} // namespace fourfold
