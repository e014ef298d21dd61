#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace interleavings {

/// What a step does to the object that it names. Two steps commute, so that one order of them stands for both,
/// unless they name the same object and one of them writes.
enum class access : bool { read, write };

/// For what stands in place of std::atomic: the calling party is about to do this. Returns when it is its turn.
/// Does nothing on a thread that is no party.
void step(const void* object, access how);

/// The same, a write, when `possible` has become true: for what stands in place of a lock. What `possible` looks at changes
/// only by writes to `object`.
void step_when(const void* object, const std::function<bool()>& possible);

/// For what stands in place of the futex. `still` says, when the party's turn has come, whether it is to sleep; true if
/// it was woken or did not sleep, false if it slept and its time ran out. With `may_time_out`, that can happen at
/// any moment.
bool sleep_on(const void* object, const std::function<bool()>& still, bool may_time_out);
void wake(const void* object, std::size_t most);

/// One run of what is examined: made anew for each order.
class scenario {
 public:
  virtual ~scenario() = default;
  /// What each party does, on a thread of its own. It must end if the others do.
  virtual std::vector<std::function<void()>> parties() = 0;
  /// After all have ended: what must hold, as an empty text, or what does not.
  virtual std::string verdict() { return {}; }
};

struct exploration {
  std::size_t orders = 0;  ///< complete runs, no two of which differ only in the order of steps that commute
  std::size_t repeats = 0; ///< runs that turned out to be equivalent to one made before
  std::size_t longest = 0; ///< the most steps in one run
  /// Empty, or what went wrong (a wrong verdict, a deadlock, a run without an end) and the steps that led there.
  std::string failure;
};

/// Runs the scenario in every order in which its parties' steps can follow one another, sequentially consistent; stops at
/// the first failure. A stateless depth-first search with sleep sets (Godefroid, "Partial-Order Methods for the
/// Verification of Concurrent Systems", 1996): exhaustive, since orders that differ only in neighbours that commute
/// end alike. What weaker memory orders allow beyond this is not examined; the thread sanitizer looks at those.
exploration explore(const std::function<std::unique_ptr<scenario>()>& make);

} // namespace interleavings
