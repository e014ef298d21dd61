// What this process and all its descendants use, read from /proc.
//
// A worker process is seldom a direct child (a template process starts it), so getrusage(RUSAGE_CHILDREN)
// sees it too late or never; /proc shows it as long as it lives. What a process used is therefore what its
// last sample before its end said: callers take one just before they let workers go.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <vector>

namespace fourfold::tool {

// All descendants of `root`, nearest first, without the subtrees of `excluded`.
std::vector<pid_t> descendants_of(pid_t root, const std::set<pid_t>& excluded = {});

struct process_figures {
  double cpu_seconds = 0;
  std::uint64_t context_switches = 0;
};
// Of all live threads of a process. A process that has just ended gives zeros.
process_figures figures_of(pid_t process);

// The share of memory that is this process's: private pages whole, shared pages divided by those who share
// them (PSS), so that the sum over processes counts every page once. Where the kernel does not tell, its
// resident size.
std::uint64_t memory_of(pid_t process);

// Sums over a tree of processes between begin() and end(). Not thread-safe: its owner guards it.
class tree_watch {
 public:
  void exclude(pid_t process) { excluded_.insert(process); }
  void begin();
  void sample();
  // Descendants only; this process itself is measured exactly by getrusage.
  process_figures used_by_descendants() const;
  // The highest sum of memory over all samples, this process included.
  std::uint64_t peak_bytes() const { return peak_bytes_; }

 private:
  struct record {
    process_figures at_begin;
    process_figures latest;
  };
  void visit(bool first);

  std::set<pid_t> excluded_;
  std::map<pid_t, record> processes_;
  std::uint64_t peak_bytes_ = 0;
};

} // namespace fourfold::tool
