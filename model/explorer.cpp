#include <model/explorer.hpp>

#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <semaphore>
#include <sstream>
#include <thread>
#include <utility>

namespace interleavings {
namespace {

using party_set = std::uint32_t; // a bit for each
constexpr std::size_t longest_run = 20'000;

struct pending_step {
  std::size_t object =
      0; // numbered in the order of first use, so that the numbers are the same in each run; 0: none
  access how = access::read;

  [[nodiscard]] bool commutes_with(const pending_step& other) const noexcept {
    return object == 0 || object != other.object || (how == access::read && other.how == access::read);
  }
};

/// A moment of the search at which one party was chosen.
struct choice {
  std::vector<pending_step> next; // of each party
  party_set enabled = 0;
  party_set asleep = 0; // their next step was tried in an order that this one would only repeat
  party_set done = 0;
  unsigned chosen = 0;
};

class search;

/// One thread that does what a party of the present run is to do.
struct party {
  enum class state : std::uint8_t { ready, sleeping, ended };
  std::thread thread;
  std::binary_semaphore turn{0};
  std::function<void()> body;
  state now = state::ended;
  pending_step next;
  const std::function<bool()>* possible = nullptr; // null: at once
  const void* sleeps_on = nullptr;
  bool may_time_out = false;
  bool timed_out = false;
  search* owner = nullptr;
};

constinit thread_local party* this_party = nullptr;

class search {
 public:
  explicit search(const std::function<std::unique_ptr<scenario>()>& make) : make_(make) {}
  ~search() {
    stopping_ = true;
    for (party& p : parties_) {
      p.turn.release();
      p.thread.join();
    }
  }
  search(const search&) = delete;
  search& operator=(const search&) = delete;

  exploration run() {
    do {
      run_once();
      if (!result_.failure.empty())
        break;
    } while (next_order());
    return result_;
  }

  void step(party& p, const void* object, access how) {
    p.next = {number_of(object), how};
    schedule(p);
  }

  void step_when(party& p, const void* object, const std::function<bool()>& possible) {
    p.possible = &possible;
    step(p, object, access::write);
    p.possible = nullptr;
  }

  bool sleep_on(party& p, const void* object, const std::function<bool()>& still, bool may_time_out) {
    step(p, object, access::write);
    if (!still())
      return true;
    p.now = party::state::sleeping;
    p.sleeps_on = object;
    p.may_time_out = may_time_out;
    p.timed_out = false;
    p.next = {number_of(object), access::write};
    sleepers_.push_back(&p);
    schedule(p);
    return !p.timed_out;
  }

  void wake(party& p, const void* object, std::size_t most) {
    step(p, object, access::write);
    for (auto at = sleepers_.begin(); at != sleepers_.end() && most > 0;) {
      party& sleeper = **at;
      if (sleeper.sleeps_on != object) {
        ++at;
        continue;
      }
      at = sleepers_.erase(at);
      --most;
      sleeper.now = party::state::ready;
      sleeper.next = {};
    }
  }

 private:
  void run_once() {
    const std::unique_ptr<scenario> now = make_();
    auto bodies = now->parties();
    while (parties_.size() < bodies.size()) {
      party& p = parties_.emplace_back();
      p.owner = this;
      p.thread = std::thread([this, &p] { serve(p); });
    }
    numbers_.clear();
    trace_.clear();
    sleepers_.clear();
    depth_ = 0;
    repeats_another_ = false;
    for (std::size_t i = 0; i < bodies.size(); ++i) {
      parties_[i].body = std::move(bodies[i]);
      parties_[i].now = party::state::ready;
      parties_[i].next = {};
    }
    pass_on();
    all_ended_.acquire();
    result_.longest = std::max(result_.longest, trace_.size());
    ++(repeats_another_ ? result_.repeats : result_.orders);
    if (std::string wrong = now->verdict(); !wrong.empty())
      fail(wrong);
  }

  void serve(party& p) {
    this_party = &p;
    for (;;) {
      p.turn.acquire();
      if (stopping_)
        return;
      p.body();
      p.body = nullptr;
      p.now = party::state::ended;
      pass_on();
    }
  }

  /// The party has said what it does next: somebody's turn, perhaps its own.
  void schedule(party& p) {
    pass_on();
    p.turn.acquire();
  }

  [[nodiscard]] bool enabled(const party& p) const noexcept {
    if (p.now == party::state::sleeping)
      return p.may_time_out;
    return p.now == party::state::ready && (p.possible == nullptr || (*p.possible)());
  }

  void pass_on() {
    const std::optional<unsigned> chosen = choose();
    if (!chosen) {
      const bool stuck = std::any_of(parties_.begin(), parties_.end(),
                                     [](const party& p) { return p.now != party::state::ended; });
      if (stuck)
        end_stuck();
      all_ended_.release();
      return;
    }
    party& p = parties_[*chosen];
    trace_.emplace_back(*chosen, p.next);
    if (trace_.size() > longest_run)
      end_program("a run without an end");
    if (p.now == party::state::sleeping) {
      p.timed_out = true;
      p.now = party::state::ready;
      std::erase(sleepers_, &p);
    }
    p.turn.release();
  }

  std::optional<unsigned> choose() {
    if (depth_ < choices_.size())
      return choices_[depth_++].chosen;
    choice here;
    for (unsigned i = 0; i < parties_.size(); ++i) {
      here.next.push_back(parties_[i].next);
      here.enabled |= enabled(parties_[i]) ? party_set{1} << i : 0;
    }
    if (here.enabled == 0)
      return std::nullopt;
    if (!choices_.empty()) {
      const choice& before = choices_.back();
      for (unsigned i = 0; i < before.next.size(); ++i) {
        const bool passive = ((before.asleep | before.done) >> i & 1) != 0 && i != before.chosen;
        if (passive && before.next[i].commutes_with(before.next[before.chosen]))
          here.asleep |= party_set{1} << i;
      }
    }
    party_set open = here.enabled & ~here.asleep;
    if (open == 0) {
      // Everything from here on has been seen. The run still has to end, for its threads' sake.
      repeats_another_ = true;
      open = here.enabled;
    }
    if (repeats_another_)
      return lowest(open);
    here.chosen = lowest(open);
    choices_.push_back(std::move(here));
    ++depth_;
    return choices_.back().chosen;
  }

  static unsigned lowest(party_set set) noexcept { return static_cast<unsigned>(__builtin_ctz(set)); }

  /// Turns the latest choice that has an alternative; false when all have been tried.
  bool next_order() {
    while (!choices_.empty()) {
      choice& last = choices_.back();
      last.done |= party_set{1} << last.chosen;
      const party_set open = last.enabled & ~last.asleep & ~last.done;
      if (open != 0) {
        last.chosen = lowest(open);
        return true;
      }
      choices_.pop_back();
    }
    return false;
  }

  std::size_t number_of(const void* object) {
    return numbers_.try_emplace(object, numbers_.size() + 1).first->second;
  }

  void fail(const std::string& what) {
    std::ostringstream text;
    text << what << "\nsteps (party: object, r or w):";
    for (const auto& [who, what_next] : trace_)
      text << ' ' << who << ':' << what_next.object << (what_next.how == access::read ? 'r' : 'w');
    result_.failure = text.str();
  }

  // Threads that sleep for ever cannot be unwound, so the program ends here.
  [[noreturn]] void end_program(const std::string& what) {
    fail(what);
    std::cerr << result_.failure << std::endl;
    std::_Exit(1);
  }
  [[noreturn]] void end_stuck() { end_program("a deadlock: nobody can go on"); }

  const std::function<std::unique_ptr<scenario>()>& make_;
  exploration result_;
  std::deque<party> parties_;
  std::vector<choice> choices_;
  std::size_t depth_ = 0;
  bool repeats_another_ = false;
  bool stopping_ = false;
  std::map<const void*, std::size_t> numbers_;
  std::vector<std::pair<unsigned, pending_step>> trace_;
  std::vector<party*> sleepers_;
  std::binary_semaphore all_ended_{0};
};

/// One CPU for a scope: the turn passes from thread to thread, and a wake-up on another CPU takes ten times as long.
class one_cpu {
 public:
  one_cpu() noexcept {
    ::sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &here);
    ::sched_setaffinity(0, sizeof here, &here);
  }
  ~one_cpu() { ::sched_setaffinity(0, sizeof before_, &before_); }
  one_cpu(const one_cpu&) = delete;
  one_cpu& operator=(const one_cpu&) = delete;

 private:
  cpu_set_t before_{};
};

} // namespace

void step(const void* object, access how) {
  if (this_party != nullptr)
    this_party->owner->step(*this_party, object, how);
}

void step_when(const void* object, const std::function<bool()>& possible) {
  if (this_party != nullptr)
    this_party->owner->step_when(*this_party, object, possible);
}

bool sleep_on(const void* object, const std::function<bool()>& still, bool may_time_out) {
  if (this_party == nullptr)
    std::abort(); // nobody would wake it
  return this_party->owner->sleep_on(*this_party, object, still, may_time_out);
}

void wake(const void* object, std::size_t most) {
  if (this_party != nullptr)
    this_party->owner->wake(*this_party, object, most);
}

exploration explore(const std::function<std::unique_ptr<scenario>()>& make) {
  const one_cpu pinned;
  return search(make).run();
}

} // namespace interleavings
