#include <fourfold/base/coroutine_context.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/watch/detail/wait_graph.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace fourfold::detail {
namespace {

/// Attempts that lie further back say nothing about now.
constexpr auto recent = std::chrono::seconds(1);

party_id this_party() noexcept {
  const coroutine_context* running = coroutine_context::current();
  return running != nullptr ? running->party() : this_thread_party();
}

/// Tells of the end of a thread, whose mark may then be another's.
struct thread_end {
  thread_end() noexcept = default;
  ~thread_end() { tell_wait_observer(&wait_observer::gone, this_thread_party()); }
  thread_end(const thread_end&) = delete;
  thread_end& operator=(const thread_end&) = delete;
};

} // namespace

deadlock_detection::counts wait_graph::found() const {
  const std::lock_guard guard(mutex_);
  return found_;
}

void wait_graph::begins_to_observe() noexcept {
  const std::lock_guard guard(mutex_);
  parties_.clear();
  resources_.clear();
  spinning_.clear();
  orders_ = {};
  observes_ = true;
}

void wait_graph::ends_to_observe() noexcept {
  const std::lock_guard guard(mutex_);
  observes_ = false;
}

wait_graph::party& wait_graph::running_party() {
  static thread_local const thread_end told_of_end;
  static_cast<void>(told_of_end);
  party& thread = parties_[this_thread_party()];
  if (thread.thread == nullptr) {
    thread.thread = this_thread_party();
    thread.number = ::gettid();
  }
  const coroutine_context* running = coroutine_context::current();
  if (running == nullptr)
    return thread;
  party& task = known(running->party());
  task.thread = this_thread_party();
  if (!running->name().empty())
    task.name = running->name();
  return task;
}

wait_graph::party& wait_graph::known(party_id who) {
  const auto [at, is_new] = parties_.try_emplace(who);
  if (is_new)
    at->second.birth = ++tasks_;
  return at->second;
}

// ---- waits

void wait_graph::waits(party_id who, resource_id what, wait_terms terms) noexcept {
  std::string inversion;
  std::string circle_text;
  as_memory_allows([&] {
    const std::lock_guard guard(mutex_);
    begin_to_watch();
    party& running = running_party();
    const auto at = resources_.find(what);
    if (!terms.limited && at != resources_.end() && at->second.kind == resource_kind::lock)
      note_orders(this_party(), running, what, inversion);
    known(who).wait = present_wait{what, terms, clock::now(), call_stack::here()};
    const auto circle = circle_of(who);
    if (!circle.empty() && !(watches() && is_doubtful(circle)))
      circle_text = resolve(circle);
  });
  tell(inversion);
  tell_of_deadlock(circle_text);
}

std::exception_ptr wait_graph::goes_on(party_id who) noexcept {
  const std::lock_guard guard(mutex_);
  const auto at = parties_.find(who);
  if (at == parties_.end())
    return nullptr;
  std::exception_ptr refusal;
  if (auto& wait = at->second.wait)
    refusal = std::move(wait->refusal);
  at->second.wait.reset();
  at->second.cancelled = false;
  return refusal;
}

std::string wait_graph::resolve(const std::vector<party_id>& circle) {
  std::string text = describe_deadlock(circle);
  present_wait* const last = options_.action == on_deadlock::throw_error ? latest_in(circle) : nullptr;
  if (last != nullptr) {
    auto refusal = exception_of<deadlock>(text);
    if (!last->terms.parked->withdraw_from(*last->terms.place))
      return {}; // a grant came first, so there was no circle
    last->refusal = std::move(refusal);
    last->terms.parked->set_decided();
    last->terms.parked->reason = wake_reason::refused;
    last->terms.parked->wake();
    text.clear();
  }
  ++found_.deadlocks;
  for (const party_id one : circle) {
    if (auto& wait = known(one).wait)
      wait->reported = true;
  }
  return text;
}

std::vector<party_id> wait_graph::circle_of(party_id who) const {
  std::vector<party_id> visited;
  std::vector<party_id> circle{who};
  if (!reach(who, who, visited, circle))
    circle.clear();
  return circle;
}

bool wait_graph::is_doubtful(const std::vector<party_id>& circle) const {
  return std::any_of(circle.begin(), circle.end(), [this](party_id who) {
    const auto& wait = parties_.at(who).wait;
    const auto what = wait ? resources_.find(wait->what) : resources_.end();
    return what != resources_.end() && what->second.kind == resource_kind::lock && !what->second.kept;
  });
}

wait_graph::present_wait* wait_graph::latest_in(const std::vector<party_id>& circle) {
  present_wait* latest = nullptr;
  for (std::size_t i = 0; i < circle.size(); ++i) {
    auto& wait = parties_.at(circle[i]).wait;
    if (!wait || wait->terms.parked == nullptr || (latest != nullptr && wait->since <= latest->since))
      continue;
    // Not one that needs only its loop's thread: its exception would help nobody.
    const auto what = resources_.find(wait->what);
    const party_id next = circle[(i + 1) % circle.size()];
    if (what != resources_.end() && std::find(what->second.holders.begin(), what->second.holders.end(),
                                              next) != what->second.holders.end())
      latest = &*wait;
  }
  return latest;
}

void wait_graph::loop_sleeps(bool begins) noexcept {
  as_memory_allows([&] {
    const std::lock_guard guard(mutex_);
    running_party().loop_sleeps = begins;
  });
}

std::vector<party_id> wait_graph::successors(party_id who) const {
  std::vector<party_id> next;
  const auto at = parties_.find(who);
  if (at == parties_.end())
    return next;
  const party& p = at->second;
  if (p.wait && !p.wait->refusal && !p.wait->terms.limited && p.limits == 0 && !p.cancelled) {
    if (const auto what = resources_.find(p.wait->what); what != resources_.end())
      next = what->second.holders;
  }
  // Whatever a task waits for, it goes on only on its loop's thread; limits and cancellations need that, too.
  if (p.thread != nullptr && p.thread != who)
    next.push_back(p.thread);
  return next;
}

bool wait_graph::reach(party_id from, party_id to, std::vector<party_id>& visited,
                       std::vector<party_id>& path) const {
  for (const party_id next : successors(from)) {
    if (next == to)
      return true;
    if (std::find(visited.begin(), visited.end(), next) != visited.end())
      continue;
    visited.push_back(next);
    path.push_back(next);
    if (reach(next, to, visited, path))
      return true;
    path.pop_back();
  }
  return false;
}

void wait_graph::cancels(resource_id result) noexcept {
  const std::lock_guard guard(mutex_);
  const auto at = resources_.find(result);
  if (at == resources_.end())
    return;
  for (const party_id holder : at->second.holders) {
    if (const auto worker = parties_.find(holder); worker != parties_.end())
      worker->second.cancelled = true;
  }
}

void wait_graph::limit_changes(party_id who, int by) noexcept {
  as_memory_allows([&] {
    const std::lock_guard guard(mutex_);
    running_party();
    party& limited = known(who);
    limited.limits = std::max(0, limited.limits + by); // it may have begun before the detection
  });
}

// ---- what parties have

void wait_graph::take(party& who, party_id id, resource_id what, resource_kind kind) {
  resource& taken = resources_[what];
  taken.kind = kind;
  if (taken.passed_on)
    return;
  // Where a call begins tells nobody anything, and there are many.
  who.has.push_back(
      {what, kind, clock::now(), kind == resource_kind::lock ? call_stack::here() : call_stack()});
  taken.holders.push_back(id);
}

void wait_graph::drop(resource_id what, party_id who) {
  if (const auto at = resources_.find(what); at != resources_.end())
    std::erase(at->second.holders, who);
  if (const auto at = parties_.find(who); at != parties_.end())
    std::erase_if(at->second.has, [&](const possession& one) { return one.what == what; });
}

void wait_graph::created(resource_id lock, std::source_location where) noexcept {
  as_memory_allows([&] {
    const std::lock_guard guard(mutex_);
    resource made;
    made.kind = resource_kind::lock;
    made.created = where;
    resources_[lock] = std::move(made);
  });
}

void wait_graph::acquired(resource_id lock, lock_request how) noexcept {
  std::string inversion;
  as_memory_allows([&] {
    const std::lock_guard guard(mutex_);
    party& who = running_party();
    who.attempts.erase(lock);
    if (how == lock_request::waited)
      note_orders(this_party(), who, lock, inversion);
    take(who, this_party(), lock, resource_kind::lock);
  });
  tell(inversion);
}

void wait_graph::releases(resource_id lock) noexcept {
  const std::lock_guard guard(mutex_);
  const auto at = resources_.find(lock);
  if (at == resources_.end() || at->second.holders.empty())
    return;
  const party_id holder = at->second.holders.front();
  if (holder == this_party()) {
    at->second.kept = true;
  } else {
    at->second.passed_on = true;
  }
  drop(lock, holder);
}

void wait_graph::uses(resource_id queue, queue_role role) noexcept {
  as_memory_allows([&] {
    const std::lock_guard guard(mutex_);
    party& who = running_party();
    who.uses.insert_or_assign(queue, role);
    resource& used = resources_[queue];
    used.kind = resource_kind::queue;
    if (role == queue_role::joins)
      return;
    (role == queue_role::puts ? used.putters : used.getters).users.insert(this_party());
  });
}

void wait_graph::works_at(resource_id result, party_id who) noexcept {
  as_memory_allows([&] {
    const std::lock_guard guard(mutex_);
    const bool limited = running_party().limits != 0;
    const coroutine_context* running = coroutine_context::current();
    party& worker = known(who);
    if (who != this_party()) {
      worker.thread = this_thread_party();
      // A limit around the one that starts a child is around the child.
      if (running != nullptr && limited)
        ++worker.limits;
    }
    take(worker, who, result, resource_kind::result);
  });
}

void wait_graph::has_done(resource_id result, party_id who) noexcept {
  const std::lock_guard guard(mutex_);
  const auto at = resources_.find(result);
  if (at == resources_.end())
    return;
  if (who != nullptr) {
    drop(result, who);
  } else {
    while (!at->second.holders.empty())
      drop(result, at->second.holders.front());
  }
  if (at->second.holders.empty())
    resources_.erase(at);
}

void wait_graph::gone(const void* address) noexcept {
  const std::lock_guard guard(mutex_);
  if (const auto at = parties_.find(address); at != parties_.end()) {
    for (const possession& one : at->second.has) {
      if (const auto what = resources_.find(one.what); what != resources_.end())
        std::erase(what->second.holders, address);
    }
    for (const auto& [queue, role] : at->second.uses) {
      const auto used = resources_.find(queue);
      if (used == resources_.end())
        continue;
      for (queue_end* const end : {&used->second.putters, &used->second.getters}) {
        if (end->users.erase(address) != 0)
          end->open = true;
      }
    }
    parties_.erase(at);
  }
  if (const auto at = resources_.find(address); at != resources_.end()) {
    while (!at->second.holders.empty())
      drop(address, at->second.holders.front());
    resources_.erase(at);
  }
  for (auto& [id, one] : parties_) {
    one.attempts.erase(address);
    one.uses.erase(address);
  }
  spinning_.erase(address);
  orders_.forget(address);
}

void wait_graph::note_orders(party_id id, const party& who, resource_id lock, std::string& report) {
  for (const possession& held : who.has) {
    if (held.kind != resource_kind::lock || held.what == lock)
      continue;
    lock_order seen{.first = held.what, .second = lock};
    if (!orders_.knows(held.what, lock)) {
      seen.who = name_of(id);
      seen.first_at = held.at;
      seen.second_at = call_stack::here();
    }
    for (const possession& other : who.has) {
      if (other.kind == resource_kind::lock && other.what != held.what)
        seen.gates.push_back(other.what);
    }
    if (const auto circle = orders_.note(std::move(seen)); !circle.empty()) {
      ++found_.inversions;
      report += describe_inversion(circle);
    }
  }
}

// ---- attempts in vain

void wait_graph::failed_to_acquire(resource_id lock) noexcept {
  std::string report;
  as_memory_allows([&] {
    const std::lock_guard guard(mutex_);
    vain_attempts& attempts = running_party().attempts[lock];
    ++attempts.count;
    attempts.last = clock::now();
    const auto at = resources_.find(lock);
    if (at != resources_.end() && !at->second.holders.empty())
      attempts.because_of = at->second.holders.front();
    std::vector<party_id> circle;
    if (attempts.count < options_.vain_attempts || attempts.reported ||
        !fail_in_a_circle(this_party(), circle))
      return;
    ++found_.livelocks;
    report = describe_livelock(circle);
  });
  tell(report);
}

bool wait_graph::fail_in_a_circle(party_id who, std::vector<party_id>& circle) {
  const auto now = clock::now();
  const auto counts = [&](const vain_attempts& attempts) {
    return attempts.count >= options_.vain_attempts / 2 && now - attempts.last < recent;
  };
  std::vector<vain_attempts*> links;
  for (party_id at = who; std::find(circle.begin(), circle.end(), at) == circle.end();) {
    const auto found = parties_.find(at);
    if (found == parties_.end())
      return false;
    vain_attempts* most = nullptr;
    for (auto& [lock, attempts] : found->second.attempts) {
      if (counts(attempts) && (most == nullptr || attempts.count > most->count))
        most = &attempts;
    }
    if (most == nullptr || most->because_of == nullptr)
      return false;
    circle.push_back(at);
    links.push_back(most);
    at = most->because_of;
    if (at == who) {
      for (vain_attempts* link : links)
        link->reported = true;
      return circle.size() > 1;
    }
  }
  return false;
}

void wait_graph::tried_in_vain(resource_id what, std::string_view name, std::uint64_t limit) noexcept {
  std::string report;
  as_memory_allows([&] {
    const std::lock_guard guard(mutex_);
    running_party();
    spinning& here = spinning_[what];
    if (++here.attempts[this_party()] < limit || here.reported)
      return;
    here.reported = true;
    ++found_.livelocks;
    report = "fourfold: livelock: no progress with \"" + std::string(name) + "\"\n";
    for (const auto& [who, count] : here.attempts)
      report += "  " + name_of(who) + " has tried " + std::to_string(count) + " times in vain\n";
    call_stack::here().describe(report, "      ");
  });
  tell(report);
}

void wait_graph::progressed(resource_id what) noexcept {
  const std::lock_guard guard(mutex_);
  spinning_.erase(what);
}

void wait_graph::tell(const std::string& report) const noexcept {
  if (report.empty())
    return;
  if (options_.handler) {
    options_.handler(report);
  } else {
    std::fputs(report.c_str(), stderr);
  }
}

void wait_graph::tell_of_deadlock(const std::string& report) const noexcept {
  if (report.empty())
    return;
  tell(report);
  if (options_.action == on_deadlock::abort)
    std::abort();
}

} // namespace fourfold::detail
