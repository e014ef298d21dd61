#include <fourfold/watch/detail/parked_threads.hpp>
#include <fourfold/watch/detail/wait_graph.hpp>

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <system_error>

// What a wait_graph finds by looking, now and then, and not at the moment when somebody begins to wait.

namespace fourfold::detail {

void wait_graph::begin_to_watch() {
  if (watch_.joinable() || !watches())
    return;
  // Signals are for the program's own threads.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    watch_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
  } catch (const std::system_error&) { // NOLINT(bugprone-empty-catch)
    // No room for a thread: the next wait tries again.
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void wait_graph::watch(const std::stop_token& stop) noexcept {
  ::pthread_setname_np(::pthread_self(), "fourfold-watch");
  std::mutex m;
  std::condition_variable_any stopped;
  std::unique_lock lock(m);
  while (!stopped.wait_for(lock, stop, options_.look_every, [&] { return stop.stop_requested(); }))
    as_memory_allows([&] {
      note_lasting_circles();
      note_stuck_users();
      note_standstill();
    });
}

std::vector<pid_t> wait_graph::sleeping_loops() const {
  const std::lock_guard guard(mutex_);
  std::vector<pid_t> threads;
  for (const auto& [id, one] : parties_) {
    if (one.loop_sleeps)
      threads.push_back(one.number);
  }
  return threads;
}

void wait_graph::note_standstill() {
  // Not under the mutex: who waits for that is not parked for ever.
  if (!all_threads_are_parked([this] { return sleeping_loops(); }))
    return;
  std::string report;
  {
    const std::lock_guard guard(mutex_);
    if (!observes_)
      return;
    std::vector<party_id> waiting;
    for (auto& [id, one] : parties_) {
      if (!one.wait)
        continue;
      if (one.wait->reported || !circle_of(id).empty()) // a circle is reported as what it is, once it lasts
        return;
      waiting.push_back(id);
    }
    if (waiting.empty())
      return;
    for (const party_id who : waiting)
      parties_[who].wait->reported = true;
    ++found_.standstills;
    report = describe_standstill(waiting);
  }
  tell_of_deadlock(report);
}

bool wait_graph::lasts(const std::optional<present_wait>& wait) const {
  return wait && clock::now() - wait->since >= options_.look_every;
}

void wait_graph::note_lasting_circles() {
  std::vector<std::string> reports;
  {
    const std::lock_guard guard(mutex_);
    if (!observes_)
      return;
    for (const auto& [who, one] : parties_) {
      if (!lasts(one.wait) || one.wait->reported)
        continue;
      if (const auto circle = circle_of(who); !circle.empty() && is_doubtful(circle))
        reports.push_back(resolve(circle));
    }
  }
  for (const std::string& report : reports)
    tell_of_deadlock(report);
}

// ---- queues

const wait_graph::queue_end* wait_graph::needed_end(party_id who) const {
  const party& waiting = parties_.at(who);
  const auto role = waiting.uses.find(waiting.wait->what);
  const auto queue = resources_.find(waiting.wait->what);
  if (role == waiting.uses.end() || queue == resources_.end())
    return nullptr;
  return role->second == queue_role::gets ? &queue->second.putters : &queue->second.getters;
}

std::vector<party_id> wait_graph::needed(party_id who, const std::set<party_id>& stuck) const {
  std::vector<party_id> found;
  const auto is_stuck = [&](party_id one) { return stuck.contains(one); };
  const auto next = successors(who);
  std::copy_if(next.begin(), next.end(), std::back_inserter(found), is_stuck);
  const queue_end* const end = needed_end(who);
  if (end != nullptr && !end->open && std::all_of(end->users.begin(), end->users.end(), is_stuck))
    found.insert(found.end(), end->users.begin(), end->users.end());
  return found;
}

std::set<party_id> wait_graph::stuck_users() const {
  std::set<party_id> stuck;
  for (const auto& [id, one] : parties_) {
    if (lasts(one.wait) && !one.wait->terms.limited && one.limits == 0 && !one.cancelled)
      stuck.insert(id);
  }
  // The largest set of parties each of which needs one of the set.
  while (std::erase_if(stuck, [&](party_id one) { return needed(one, stuck).empty(); }) != 0) {
  }
  return stuck;
}

bool wait_graph::is_more_than_idle(party_id who) const {
  const party& one = parties_.at(who);
  const auto what = resources_.find(one.wait->what);
  if (one.wait->reported || what == resources_.end() || !circle_of(who).empty())
    return false;
  if (what->second.kind != resource_kind::queue)
    return what->second.kind == resource_kind::lock;
  const auto role = one.uses.find(one.wait->what);
  return role != one.uses.end() && role->second == queue_role::puts;
}

void wait_graph::note_stuck_users() {
  std::string report;
  {
    const std::lock_guard guard(mutex_);
    if (!observes_)
      return;
    const auto stuck = stuck_users();
    std::vector<party_id> reported;
    for (const party_id who : stuck) {
      if (is_more_than_idle(who))
        reported.push_back(who);
    }
    for (std::size_t i = 0; i < reported.size(); ++i) {
      parties_.at(reported[i]).wait->reported = true;
      for (const party_id next : needed(reported[i], stuck)) {
        if (std::find(reported.begin(), reported.end(), next) == reported.end())
          reported.push_back(next);
      }
    }
    if (reported.empty())
      return;
    ++found_.stuck_users;
    report = describe_stuck_users(reported);
  }
  tell(report);
}

} // namespace fourfold::detail
