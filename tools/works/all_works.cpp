#include "work.hpp"

namespace fourfold::tool {

std::vector<work> all_works() {
  std::vector<work> all;
  for (work (*const make)() : {primes_work, squares_work, fetch_work, files_work, hybrid_work, locked_work}) {
    all.push_back(make());
  }
  return all;
}

} // namespace fourfold::tool
