// Counting primes by trial division: work that does nothing but compute.
#pragma once

#include <fourfold/thread/global_lock.hpp>

namespace fourfold::tool {

// The primes up to `limit`. Every number is divided by all up to its root, even ones too: the textbook's
// loop.
unsigned count_primes(unsigned limit);

// The same by a thread that holds `lock` the whole time and offers to hand it over every few thousand
// divisions, as an interpreter does between its instructions.
unsigned count_primes_under(global_lock& lock, unsigned limit);

} // namespace fourfold::tool
