#pragma once

#include <cstdint>

namespace fourfold {

/// How worker processes come to be. Neither copies threads, locks or open files of the program, so both are safe
/// in a program that has any; main() runs in neither.
enum class start_method : std::uint8_t {
  /// Forked from the template: the program executed once more, which has run the static initialisers and has one
  /// thread. Costs a few times a bare fork, about half a millisecond on an idle machine. What the static initialisers
  /// have made is there in each worker, as a copy; threads that they have started are not.
  from_template,
  /// The program executed anew for each worker, up to main(). Costs twice as much or more, the longer the program
  /// takes to load, and runs the static initialisers in each worker: for programs whose initialisers start threads, or
  /// where workers must not share the layout of their memory.
  fresh_execution,
};

} // namespace fourfold
