#include <fourfold/watch/detail/wait_graph.hpp>

#include <array>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>

// The texts that a wait_graph reports.

namespace fourfold::detail {
namespace {

std::string since_text(clock::time_point since) {
  const auto milliseconds = std::chrono::duration<double, std::milli>(clock::now() - since);
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "for %.3f ms", milliseconds.count());
  return text.data();
}

std::string address_text(const void* address) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%p", address);
  return text.data();
}

std::string place_text(const std::source_location& where) {
  std::string_view file = where.file_name();
  if (const auto slash = file.rfind('/'); slash != std::string_view::npos)
    file.remove_prefix(slash + 1);
  return std::string(file) + ":" + std::to_string(where.line());
}

/// When it is asked for, because threads are named after they were started.
std::string name_of_thread(pid_t number) {
  std::string text = "thread " + std::to_string(number);
  std::string name;
  if (std::getline(std::ifstream("/proc/self/task/" + std::to_string(number) + "/comm"), name))
    text += " (" + name + ")";
  return text;
}

} // namespace

std::string wait_graph::name_of(party_id who) const {
  const auto at = parties_.find(who);
  if (at == parties_.end())
    return "somebody";
  const party& p = at->second;
  if (p.thread == who)
    return name_of_thread(p.number);
  return p.name.empty() ? "task number " + std::to_string(p.birth) + " (unnamed)" : "task \"" + p.name + '"';
}

std::string wait_graph::name_of_resource(resource_id what) const {
  const auto at = resources_.find(what);
  if (at == resources_.end())
    return "somebody's doing at " + address_text(what); // an event, a queue's other end, a promise
  if (at->second.kind == resource_kind::queue)
    return "the queue " + address_text(what);
  if (at->second.kind == resource_kind::result)
    return "the result " + address_text(what);
  std::string text = "mutex " + address_text(what);
  if (at->second.created)
    text += " (created at " + place_text(*at->second.created) + ")";
  return text;
}

std::string wait_graph::purpose_of(const party& waiting) {
  const auto role = waiting.uses.find(waiting.wait->what);
  if (role == waiting.uses.end())
    return {};
  switch (role->second) {
  case queue_role::puts: return "room in ";
  case queue_role::gets: return "an item of ";
  case queue_role::joins: break;
  }
  return "the end of the work on ";
}

void wait_graph::describe_party(std::string& text, party_id who) const {
  text += "  " + name_of(who) + "\n";
  const auto at = parties_.find(who);
  if (at == parties_.end())
    return;
  const party& p = at->second;
  if (p.wait) {
    text += "    waits for " + purpose_of(p) + name_of_resource(p.wait->what) + ", " +
            since_text(p.wait->since) + ", at\n";
    p.wait->at.describe(text, "      ");
  }
  const auto thread = parties_.find(p.thread);
  if (p.thread != who && thread != parties_.end() && thread->second.wait)
    text += "    cannot go on while its loop's thread is blocked: " + name_of(p.thread) + "\n";
  for (const possession& one : p.has) {
    text += one.kind == resource_kind::lock ? "    holds " : "    works at ";
    text += name_of_resource(one.what) + ", " + since_text(one.since) + ", taken at\n";
    one.at.describe(text, "      ");
  }
}

std::string wait_graph::describe_deadlock(const std::vector<party_id>& circle) const {
  std::string text = circle.size() == 1
                         ? "fourfold: deadlock: one party waits for itself\n"
                         : "fourfold: deadlock: " + std::to_string(circle.size()) +
                               " parties wait in a circle, each for the next one, the last for the first\n";
  for (const party_id who : circle)
    describe_party(text, who);
  return text;
}

std::string wait_graph::describe_standstill(const std::vector<party_id>& waiting) const {
  std::string text =
      "fourfold: standstill: every thread of the program waits without a limit, so that nothing but a "
      "signal's handler could end any of it\n";
  for (const party_id who : waiting)
    describe_party(text, who);
  return text;
}

std::string wait_graph::describe_stuck_users(const std::vector<party_id>& stuck) const {
  std::string text =
      stuck.size() == 1 ? "fourfold: likely deadlock: one party waits for itself, and nobody else has used "
                          "its queue so far\n"
                        : "fourfold: likely deadlock: " + std::to_string(stuck.size()) +
                              " parties wait for one another, and nobody else has used their queues so far\n";
  for (const party_id who : stuck)
    describe_party(text, who);
  return text;
}

std::string wait_graph::describe_inversion(const std::vector<lock_order*>& circle) const {
  std::string text = "fourfold: inverted lock orders: these can deadlock, though they have not now\n";
  for (const lock_order* order : circle) {
    text += "  " + order->who + " held " + name_of_resource(order->first) + ", taken at\n";
    order->first_at.describe(text, "      ");
    text += "    and asked for " + name_of_resource(order->second) + " at\n";
    order->second_at.describe(text, "      ");
  }
  return text;
}

std::string wait_graph::describe_livelock(const std::vector<party_id>& circle) const {
  std::string text = "fourfold: livelock: these fail at try_lock() because of one another, again and again\n";
  for (const party_id who : circle) {
    text += "  " + name_of(who) + "\n";
    const auto at = parties_.find(who);
    if (at == parties_.end())
      continue;
    for (const auto& [lock, attempts] : at->second.attempts) {
      text += "    " + std::to_string(attempts.count) + " attempts in vain at " + name_of_resource(lock) +
              ", held by " + name_of(attempts.because_of) + "\n";
    }
    for (const possession& one : at->second.has) {
      text += "    holds " + name_of_resource(one.what) + ", taken at\n";
      one.at.describe(text, "      ");
    }
  }
  return text;
}

} // namespace fourfold::detail
