// What each primitive promises, in every order of its steps. One test is one small history of two to four parties.

#include <model/modelled.hpp>

#include <fourfold/base/cancellation.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/base/small_lock.hpp>
#include <fourfold/loop/detail/inbox.hpp>
#include <fourfold/sync/barrier.hpp>
#include <fourfold/sync/condition.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/sync/future.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/queue.hpp>
#include <fourfold/sync/semaphore.hpp>
#include <fourfold/thread/detail/idle_workers.hpp>
#include <fourfold/thread/detail/work_stealing_deque.hpp>
#include <model/examine.hpp>

namespace fourfold {
namespace {

using namespace std::chrono_literals;
using interleavings::examine;

std::string expect(bool holds, const char* otherwise) { return holds ? std::string() : otherwise; }

/// Inside of a section: how many, and the most that there were.
struct section {
  int inside = 0;
  int most = 0;
  int visits = 0;
  void visit() {
    most = std::max(most, ++inside);
    interleavings::step(this, interleavings::access::write); // the others' turn
    --inside;
    ++visits;
  }
};

// The lock below the locks.

struct locked_section : section {
  real_small_lock lock;
};
void visit_locked(locked_section& s) {
  const std::lock_guard guard(s.lock);
  s.visit();
}
std::string one_at_a_time(section& s, int visits) {
  return expect(s.most == 1 && s.inside == 0 && s.visits == visits, "not one at a time, or not all");
}

TEST(small_lock, lets_one_in_at_a_time_and_loses_no_wake_up) {
  examine<locked_section>({visit_locked, visit_locked, visit_locked},
                          [](locked_section& s) { return one_at_a_time(s, 3); });
}

// Semaphore and mutex.

struct mutex_section : section {
  mutex guarding;
  int gave_up = 0;
};
void visit_with_mutex(mutex_section& s) {
  const std::scoped_lock guard(s.guarding);
  s.visit();
}
void visit_with_limit(mutex_section& s) {
  if (!s.guarding.try_lock_for(1s)) {
    s.gave_up += 1;
    return;
  }
  const std::unique_lock guard(s.guarding, std::adopt_lock);
  s.visit();
}
std::string mutex_is_free_and_held_by_one_at_a_time(mutex_section& s, int visits) {
  if (!s.guarding.try_lock())
    return "the mutex is held for ever";
  return expect(s.most == 1 && s.visits + s.gave_up == visits, "not one at a time, or not all");
}

TEST(mutex, is_held_by_one_at_a_time_and_handed_on) {
  examine<mutex_section>({visit_with_mutex, visit_with_mutex},
                         [](mutex_section& s) { return mutex_is_free_and_held_by_one_at_a_time(s, 2); });
}

TEST(mutex, is_not_lost_to_a_wait_that_times_out) {
  examine<mutex_section>({visit_with_mutex, visit_with_limit},
                         [](mutex_section& s) { return mutex_is_free_and_held_by_one_at_a_time(s, 2); });
}

struct permits {
  semaphore free{0};
  int acquired = 0;
  int gave_up = 0;
};
void acquire(permits& p) {
  p.free.acquire();
  p.acquired += 1;
}
void acquire_with_limit(permits& p) {
  try {
    p.free.acquire(1s);
    p.acquired += 1;
  } catch (const timed_out&) {
    p.gave_up += 1;
  }
}

TEST(semaphore, gives_each_released_permit_to_one_or_keeps_it) {
  examine<permits>({acquire_with_limit, [](permits& p) { p.free.release(); }}, [](permits& p) {
    return expect(p.acquired + p.gave_up == 1 && p.acquired + p.free.available() == 1,
                  "a permit was lost or doubled");
  });
}

TEST(semaphore, releases_of_many_reach_everybody_who_waits) {
  examine<permits>({acquire, acquire, [](permits& p) { p.free.release(2); }}, [](permits& p) {
    return expect(p.acquired == 2 && p.free.available() == 0, "a permit was lost or doubled");
  });
}

TEST(semaphore, two_releases_reach_one_that_waits_and_one_whose_time_may_run_out) {
  examine<permits>({acquire, acquire_with_limit,
                    [](permits& p) {
                      p.free.release();
                      p.free.release();
                    }},
                   [](permits& p) {
                     return expect(p.acquired + p.free.available() == 2 && p.acquired + p.gave_up == 2,
                                   "a permit was lost or doubled");
                   });
}

struct cancellable_permits : permits {
  cancellation_source source;
  int was_cancelled = 0;
};
void acquire_until_cancelled(cancellable_permits& p) {
  try {
    p.free.acquire(p.source.token());
    p.acquired += 1;
  } catch (const cancelled&) {
    p.was_cancelled += 1;
  }
}

TEST(semaphore, a_cancellation_that_races_with_a_release_has_one_outcome) {
  examine<cancellable_permits>({acquire_until_cancelled, [](cancellable_permits& p) { p.free.release(); },
                                [](cancellable_permits& p) { p.source.request_cancellation(); }},
                               [](cancellable_permits& p) {
                                 return expect(p.acquired + p.was_cancelled == 1 &&
                                                   p.acquired + p.free.available() == 1,
                                               "a permit was lost or doubled");
                               });
}

// Event.

struct waiting_for_event {
  event happened;
  int released = 0;
  int gave_up = 0;
};
void wait_for_event(waiting_for_event& w) {
  w.happened.wait();
  interleavings::step(&w.released, interleavings::access::write);
  w.released += 1;
}

TEST(event, releases_everybody_when_it_is_set) {
  examine<waiting_for_event>({wait_for_event, wait_for_event, [](waiting_for_event& w) { w.happened.set(); }},
                             [](waiting_for_event& w) { return expect(w.released == 2, "not everybody"); });
}

TEST(event, set_and_cleared_at_once_releases_who_waited_or_leaves_who_came_later) {
  examine<waiting_for_event>({[](waiting_for_event& w) {
                                try {
                                  w.happened.wait(1s);
                                  w.released += 1;
                                } catch (const timed_out&) {
                                  w.gave_up += 1;
                                }
                              },
                              [](waiting_for_event& w) {
                                w.happened.set();
                                w.happened.clear();
                              }},
                             [](waiting_for_event& w) {
                               return expect(w.released + w.gave_up == 1 && !w.happened.is_set(),
                                             "no single outcome");
                             });
}

TEST(event, may_be_destroyed_by_whom_it_released) {
  struct owned {
    std::unique_ptr<event> happened = std::make_unique<event>();
    event* seen = happened.get();
  };
  examine<owned>({[](owned& o) {
                    o.seen->wait();
                    o.happened.reset();
                  },
                  [](owned& o) { o.seen->set(); }});
}

// Condition.

struct guarded_flag {
  mutex guarding;
  condition changed;
  bool set = false;
  int seen = 0;
  int gave_up = 0;
};
void wait_until_set(guarded_flag& f) {
  std::unique_lock lock(f.guarding);
  f.changed.wait(lock, [&f] { return f.set; });
  f.seen += 1;
}
void set_and_notify_one(guarded_flag& f) {
  {
    const std::scoped_lock guard(f.guarding);
    f.set = true;
  }
  f.changed.notify_one();
}

TEST(condition, a_change_that_is_notified_is_seen) {
  examine<guarded_flag>({wait_until_set, set_and_notify_one}, [](guarded_flag& f) {
    return expect(f.seen == 1 && f.guarding.try_lock(), "not seen, or the mutex is held for ever");
  });
}

TEST(condition, a_wait_that_times_out_holds_the_mutex_and_loses_no_notification) {
  auto wait_with_limit = [](guarded_flag& f) {
    std::unique_lock lock(f.guarding);
    try {
      f.changed.wait(lock, [&f] { return f.set; }, 1s);
      f.seen += 1;
    } catch (const timed_out&) {
      f.gave_up += 1;
    }
    if (!lock.owns_lock())
      f.seen = 99;
  };
  examine<guarded_flag>({wait_with_limit, set_and_notify_one}, [](guarded_flag& f) {
    return expect(f.seen + f.gave_up == 1 && f.guarding.try_lock(),
                  "not one outcome, or the mutex is held for ever");
  });
}

// Barrier.

struct two_rounds {
  barrier round{2};
  int arrived = 0;
  int seen_too_few = 0;
};
void arrive_twice(two_rounds& r) {
  for (int expected = 2; expected <= 4; expected += 2) {
    interleavings::step(&r.arrived, interleavings::access::write);
    r.arrived += 1;
    r.round.arrive_and_wait();
    interleavings::step(&r.arrived, interleavings::access::read);
    r.seen_too_few += r.arrived < expected ? 1 : 0;
  }
}

TEST(barrier, nobody_goes_on_before_all_have_come_in_either_round) {
  examine<two_rounds>({arrive_twice, arrive_twice}, [](two_rounds& r) {
    return expect(r.seen_too_few == 0 && r.round.waiting() == 0, "somebody went on too early");
  });
}

// Queue.

struct passing {
  explicit passing(std::size_t capacity) : items(capacity) {}
  queue<int> items;
  int sum = 0;
  int put = 0;
  int refused = 0;
  int ended = 0;
};
struct passing_one : passing {
  passing_one() : passing(1) {}
};
struct passing_by_hand : passing {
  passing_by_hand() : passing(0) {}
};

template <int Item>
void put(passing& p) {
  p.items.put(Item);
  interleavings::step(&p.put, interleavings::access::write);
  p.put += Item;
}
void get_one(passing& p) {
  const int item = p.items.get();
  interleavings::step(&p.sum, interleavings::access::write);
  p.sum += item;
}
void get_with_limit(passing& p) {
  try {
    p.sum += p.items.get(1s);
  } catch (const timed_out&) {
    p.ended += 1;
  }
}
void put_with_limit(passing& p) {
  try {
    p.items.put(1, 1s);
    p.put += 1;
  } catch (const timed_out&) {
    p.refused += 1;
  }
}
int left_in(passing& p) {
  int left = 0;
  while (auto item = p.items.try_get())
    left += *item;
  return left;
}

TEST(queue, with_room_for_one_passes_two_items_between_producer_and_consumer) {
  examine<passing_one>({[](passing_one& p) {
                          put<1>(p);
                          put<2>(p);
                        },
                        [](passing_one& p) {
                          get_one(p);
                          get_one(p);
                        }},
                       [](passing_one& p) { return expect(p.sum == 3, "an item was lost or doubled"); });
}

TEST(queue, two_producers_and_a_consumer_lose_nothing) {
  examine<passing_one>({put<1>, put<2>,
                        [](passing_one& p) {
                          get_one(p);
                          get_one(p);
                        }},
                       [](passing_one& p) { return expect(p.sum == 3, "an item was lost or doubled"); });
}

TEST(queue, an_item_goes_to_the_getter_or_stays_when_its_time_runs_out) {
  examine<passing_one>({get_with_limit, put<1>}, [](passing_one& p) {
    return expect(p.sum + left_in(p) == 1 && (p.sum == 1 || p.ended == 1), "an item was lost or doubled");
  });
}

TEST(queue, without_room_an_item_goes_from_hand_to_hand_or_stays_with_its_producer) {
  examine<passing_by_hand>({get_with_limit, put_with_limit}, [](passing_by_hand& p) {
    return expect(p.sum == p.put && p.put + p.refused == 1 && p.sum + p.ended == 1,
                  "an item was lost or doubled");
  });
}

TEST(queue, closed_while_one_puts_and_one_gets_ends_both_and_loses_nothing) {
  examine<passing_one>({[](passing_one& p) {
                          try {
                            p.items.put(1);
                            p.put += 1;
                          } catch (const queue_closed&) {
                            p.refused += 1;
                          }
                        },
                        [](passing_one& p) {
                          if (auto item = p.items.next())
                            p.sum += *item;
                          else
                            p.ended += 1;
                        },
                        [](passing_one& p) { p.items.close(); }},
                       [](passing_one& p) {
                         return expect(p.sum + left_in(p) == p.put && p.put + p.refused == 1,
                                       "an item was lost or doubled");
                       });
}

// Future.

struct promised {
  promise<int> here;
  future<int> result = here.get_future();
  int got = 0;
  int gave_up = 0;
  int called = 0;
  cancellation_source source;
};

TEST(future, a_waiting_thread_gets_the_result) {
  examine<promised>({[](promised& p) { p.got = p.result.get(); }, [](promised& p) { p.here.set_value(7); }},
                    [](promised& p) { return expect(p.got == 7, "no result"); });
}

TEST(future, a_wait_that_times_out_leaves_the_result_for_the_next) {
  examine<promised>({[](promised& p) {
                       try {
                         p.got = p.result.get(1s);
                       } catch (const timed_out&) {
                         p.gave_up = 1;
                         p.got = p.result.get();
                       }
                     },
                     [](promised& p) { p.here.set_value(7); }},
                    [](promised& p) { return expect(p.got == 7, "no result"); });
}

TEST(future, a_wait_that_is_cancelled_leaves_the_result_for_the_next) {
  examine<promised>({[](promised& p) {
                       try {
                         p.got = p.result.get(p.source.token());
                       } catch (const cancelled&) {
                         p.got = p.result.get();
                       }
                     },
                     [](promised& p) { p.here.set_value(7); },
                     [](promised& p) { p.source.request_cancellation(); }},
                    [](promised& p) { return expect(p.got == 7, "no result"); });
}

TEST(future, its_callback_is_called_once) {
  examine<promised>({[](promised& p) { p.result.on_ready([&p] { p.called += 1; }); },
                     [](promised& p) { p.here.set_value(7); }},
                    [](promised& p) { return expect(p.called == 1 && p.result.get() == 7, "not once"); });
}

TEST(future, dropped_while_its_result_is_set_is_freed_once) {
  struct two_ends {
    std::optional<promise<int>> here{std::in_place};
    std::optional<future<int>> result{here->get_future()};
  };
  examine<two_ends>({[](two_ends& e) { e.result.reset(); },
                     [](two_ends& e) {
                       e.here->set_value(7);
                       e.here.reset();
                     }});
}

// Cancellation.

TEST(cancellation, a_callback_that_goes_away_is_called_before_or_not_at_all) {
  struct called_back {
    cancellation_source source;
    bool gone = false;
    bool too_late = false;
    int calls = 0;
  };
  examine<called_back>(
      {[](called_back& c) {
         {
           const cancellation_callback callback(c.source.token(), [&c]() noexcept {
             c.calls += 1;
             interleavings::step(&c.gone, interleavings::access::read);
             c.too_late = c.gone;
           });
         }
         interleavings::step(&c.gone, interleavings::access::write);
         c.gone = true;
       },
       [](called_back& c) { c.source.request_cancellation(); }},
      [](called_back& c) { return expect(c.calls <= 1 && !c.too_late, "called after its end"); });
}

TEST(cancellation, two_requests_call_back_once_and_one_of_them_says_so) {
  struct requested_twice {
    cancellation_source source;
    int calls = 0;
    int made = 0;
    cancellation_callback<std::function<void()>> callback{source.token(), [this] { ++calls; }};
  };
  auto request = [](requested_twice& r) {
    const bool mine = r.source.request_cancellation();
    interleavings::step(&r.made, interleavings::access::write);
    r.made += mine ? 1 : 0;
  };
  examine<requested_twice>(
      {request, request}, [](requested_twice& r) { return expect(r.calls == 1 && r.made == 1, "not once"); });
}

// How a loop sleeps.

struct posted final : ready_item {
  void run_ready() noexcept override {}
};
struct sleeping_loop {
  detail::inbox inbox;
  std::atomic<std::uint32_t> bell{0};
  posted first;
  posted second;
  int received = 0;
};
template <posted sleeping_loop::* Item>
void post(sleeping_loop& l) {
  if (!l.inbox.push(l.*Item))
    return;
  l.bell.fetch_add(1);
  detail::futex_wake_one(l.bell);
}
void receive_two(sleeping_loop& l) {
  while (l.received < 2) {
    if (l.inbox.fall_asleep()) {
      while (l.bell.load() == 0)
        detail::futex_wait(l.bell, 0);
      l.bell.store(0);
      static_cast<void>(l.inbox.wake_up());
    }
    for (const ready_item* item = l.inbox.take_all(); item != nullptr; item = item->next_ready)
      ++l.received;
  }
}

TEST(inbox, a_loop_that_goes_to_sleep_misses_nothing) {
  examine<sleeping_loop>({post<&sleeping_loop::first>, post<&sleeping_loop::second>, receive_two});
}

// How the threads of a pool sleep, by the protocol that idle_workers asks of them.

struct sleeping_pool {
  explicit sleeping_pool(unsigned threads) : idle(threads, threads, 0) {
    for (unsigned i = 0; i < threads; ++i)
      idle.count_started();
  }
  detail::idle_workers idle;
  std::atomic<int> work{0};
  std::atomic<int> done{0};
  std::array<detail::sleeper, 2> sleepers;
};
template <unsigned Threads>
struct pool_of : sleeping_pool {
  pool_of() : sleeping_pool(Threads) {}
};

void submit(sleeping_pool& p) {
  p.work.fetch_add(1);
  if (p.idle.should_wake())
    static_cast<void>(p.idle.wake_one(detail::idle_workers::starting::never));
}
bool take_work(sleeping_pool& p) {
  int left = p.work.load();
  while (left > 0) {
    if (p.work.compare_exchange_strong(left, left - 1))
      return true;
  }
  return false;
}
/// A thread of the pool, searching at first or asleep, until `Wanted` calls are done by all together.
template <std::size_t Self, int Wanted, bool Asleep = false>
void work(sleeping_pool& p) {
  detail::sleeper& self = p.sleepers[Self];
  bool searching = true;
  if (Asleep) {
    self.sleep_until(never);
    if (self.ordered() == detail::sleeper::order::end)
      return;
  }
  for (;;) {
    if (take_work(p)) {
      if (searching && p.idle.end_search() && p.idle.should_wake() && p.work.load() > 0)
        static_cast<void>(p.idle.wake_one(detail::idle_workers::starting::never));
      searching = false;
      p.done.fetch_add(1);
      continue;
    }
    p.idle.fall_asleep(self, searching);
    searching = true;
    if (p.work.load() > 0 && p.idle.get_up(self))
      continue;
    if (p.idle.end_all_if_asleep([&p] { return p.done.load() == Wanted; }))
      return;
    self.sleep_until(never);
    if (self.ordered() == detail::sleeper::order::end)
      return;
  }
}

std::string all_done(sleeping_pool& p, int calls) {
  return expect(p.done.now() == calls && p.work.now() == 0, "a call was lost");
}

TEST(idle_workers, a_thread_that_goes_to_sleep_misses_no_call) {
  examine<pool_of<1>>({submit, work<0, 1>}, [](sleeping_pool& p) { return all_done(p, 1); });
}

TEST(idle_workers, a_thread_that_goes_to_sleep_twice_misses_no_call) {
  examine<pool_of<1>>({[](sleeping_pool& p) {
                         submit(p);
                         submit(p);
                       },
                       work<0, 2>},
                      [](sleeping_pool& p) { return all_done(p, 2); });
}

TEST(idle_workers, of_two_threads_one_asleep_the_calls_that_come_are_done_and_both_end) {
  struct one_asleep : pool_of<2> {
    one_asleep() { idle.fall_asleep(sleepers[1], true); }
  };
  examine<one_asleep>({submit, work<0, 1>, work<1, 1, true>},
                      [](sleeping_pool& p) { return all_done(p, 1); });
}

// Work stealing.

struct stolen_from {
  detail::work_stealing_deque<int> deque;
  std::array<int, 3> items{};
  std::array<std::atomic<int>, 3> taken{};
  stolen_from() { deque.reserve(3); }
  void take(int* item) {
    if (item != nullptr)
      taken[static_cast<std::size_t>(item - items.data())].fetch_add(1);
  }
};
void push_two_and_pop_all(stolen_from& s) {
  s.deque.push(&s.items[0]);
  s.deque.push(&s.items[1]);
  while (int* item = s.deque.pop())
    s.take(item);
}
void steal_one(stolen_from& s) { s.take(s.deque.steal()); }
std::string each_taken_once(stolen_from& s, std::size_t count) {
  while (int* left = s.deque.pop())
    s.take(left);
  for (std::size_t i = 0; i < count; ++i) {
    if (s.taken[i].now() != 1)
      return "an item was lost or doubled";
  }
  return {};
}

TEST(work_stealing_deque, owner_and_thief_take_each_item_once) {
  examine<stolen_from>({push_two_and_pop_all,
                        [](stolen_from& s) {
                          steal_one(s);
                          steal_one(s);
                        }},
                       [](stolen_from& s) { return each_taken_once(s, 2); });
}

TEST(work_stealing_deque, two_thieves_and_the_owner_take_each_item_once) {
  examine<stolen_from>({push_two_and_pop_all, steal_one, steal_one},
                       [](stolen_from& s) { return each_taken_once(s, 2); });
}

} // namespace
} // namespace fourfold
