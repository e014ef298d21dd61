#include <fourfold/base/misuse.hpp>
#include <fourfold/loop/detail/reactor.hpp>
#include <fourfold/loop/loop.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

namespace fourfold {
namespace {

constinit thread_local loop* running_loop = nullptr;

/// A function posted to a loop.
class posted_function final : public ready_item {
 public:
  explicit posted_function(std::move_only_function<void()> f) noexcept : f_(std::move(f)) {}
  void run_ready() noexcept override {
    f_();
    delete this;
  }
  void drop_ready() noexcept override { delete this; }

 private:
  std::move_only_function<void()> f_;
};

void drop_all(ready_item* item) noexcept {
  while (item != nullptr) {
    ready_item* next = item->next_ready;
    item->drop_ready();
    item = next;
  }
}

std::optional<std::uint64_t> seed_of_environment() noexcept {
  const char* const text = std::getenv("FOURFOLD_SHUFFLE");
  if (text == nullptr)
    return std::nullopt;
  char* end = nullptr;
  const std::uint64_t seed = std::strtoull(text, &end, 10);
  return end != text ? std::optional(seed) : std::nullopt;
}

/// Seeds that differ by little, spread out: the first numbers of a linear generator follow its seed closely.
std::minstd_rand::result_type scattered(std::uint64_t seed) noexcept {
  constexpr std::uint64_t golden_ratio = 0x9e3779b97f4a7c15;
  return static_cast<std::minstd_rand::result_type>(((seed + 1) * golden_ratio) >> 33U);
}

/// Tells the observer of a sleep, if it is one that only another thread can end.
class told_sleep {
 public:
  explicit told_sleep(bool others_only) noexcept : others_only_(others_only) {
    if (others_only_)
      tell_wait_observer(&wait_observer::loop_sleeps, true);
  }
  ~told_sleep() {
    if (others_only_)
      tell_wait_observer(&wait_observer::loop_sleeps, false);
  }
  told_sleep(const told_sleep&) = delete;
  told_sleep& operator=(const told_sleep&) = delete;

 private:
  bool others_only_;
};

// How long ready coroutines may run before descriptors are looked at: a look costs about a microsecond, so
// this bounds its share to a few per cent, and bounds what a storm of ready coroutines can delay I/O and
// timers by.
constexpr auto poll_interval = std::chrono::microseconds(50);
// How many ready items run between two looks at the clock.
constexpr std::size_t batch = 64;
// Between two looks for new shields at the end of run(), which otherwise would keep it busy.
constexpr auto shortest_patience = std::chrono::milliseconds(1);

} // namespace

loop::loop(loop_options options) : options_(options), reactor_(detail::make_reactor()) {
  if (!options_.shuffle_seed)
    options_.shuffle_seed = seed_of_environment();
  if (options_.shuffle_seed)
    shuffle_.seed(scattered(*options_.shuffle_seed));
}

loop::~loop() {
  if (scope_ != nullptr)
    misuse("a loop was destroyed while it runs");
  drop_all(std::exchange(first_ready_, nullptr));
  // Until it stays empty: a call not dropped yet can still be cancelled, which posts.
  while (ready_item* left = inbox_.take_all())
    drop_all(left);
  // A producer that was told to ring is on its way to the reactor.
  reactor_->absorb_wakes(bells_announced_);
}

loop* loop::current_or_null() noexcept { return running_loop; }

loop& loop::current() {
  if (running_loop == nullptr)
    throw wrong_thread("no loop runs on this thread");
  return *running_loop;
}

loop::run_scope::run_scope(loop& l) : loop_(l) {
  if (running_loop != nullptr)
    throw wrong_thread("loop: run() inside of a running loop; co_await the task instead");
  if (l.scope_ != nullptr)
    throw wrong_thread("loop: run() while the loop runs on another thread");
  l.reactor_->begin_run();
  running_loop = &l;
  l.scope_ = &scope_;
}

loop::run_scope::~run_scope() {
  loop_.reactor_->end_run();
  loop_.scope_ = nullptr;
  running_loop = nullptr;
}

void loop::post(std::move_only_function<void()> f) { give(*new posted_function(std::move(f))); }

void loop::give(ready_item& item) noexcept {
  if (running_loop == this) {
    enqueue(item);
  } else if (inbox_.push(item)) {
    reactor_->wake();
  }
}

void loop::run_until_ready(const detail::future_state_base& result) {
  while (!result.ready())
    turn(&result);
}

void loop::end_remaining_tasks() {
  scope_->cancel();
  // It acts in wake() itself, after which the turn of the loop may go to sleep at once.
  struct alarm final : waiter {
    explicit alarm(loop& owner) noexcept : ending(owner) {}
    alarm(const alarm&) = delete;
    alarm& operator=(const alarm&) = delete;
    ~alarm() { ending.timers_.withdraw(*this); } // also when a turn throws
    void wake() noexcept override {
      if (ending.live_tasks_ == 0)
        return;
      if (!std::exchange(reported, true))
        ending.report_remaining_tasks();
      ending.scope_->cancel_through_shields();
      // Again, for shields that clean-up opens from here on. There is room: this alarm's own place.
      ending.timers_.arm(*this, clock::now() +
                                    std::max<clock::duration>(ending.options_.patience, shortest_patience));
    }
    loop& ending;
    bool reported = false;
  } patience_ends(*this);
  if (live_tasks_ != 0 && options_.patience < never - clock::now())
    timers_.arm(patience_ends, clock::now() + options_.patience);
  while (live_tasks_ != 0 || first_ready_ != nullptr)
    turn(nullptr);
}

void loop::report_remaining_tasks() noexcept {
  std::fprintf(stderr,
               "fourfold: run() has waited for its remaining tasks in vain; their shields end now:\n");
  std::size_t unnamed = 0;
  scope_->for_each_task([&](const detail::root_context& task) {
    const std::string_view name = task.name();
    if (name.empty()) {
      ++unnamed;
    } else {
      std::fprintf(stderr, "fourfold:   %.*s\n", static_cast<int>(name.size()), name.data());
    }
  });
  if (unnamed != 0)
    std::fprintf(stderr, "fourfold:   %zu without a name\n", unnamed);
}

void loop::turn(const detail::future_state_base* until) {
  collect_inbox();
  run_ready_batch();
  const bool idle = first_ready_ == nullptr;
  if (idle && timers_.empty())
    return sleep_until_next(until);
  const auto now = clock::now();
  timers_.fire(now);
  if (first_ready_ == nullptr)
    return sleep_until_next(until);
  if (now - last_poll_ >= poll_interval) {
    last_poll_ = now;
    reactor_->wait(now);
  }
}

std::size_t loop::shuffle_ready() noexcept {
  std::size_t count = 0;
  try {
    std::vector<ready_item*> items;
    std::vector<ready_item*> posted;
    for (ready_item* item = first_ready_; item != nullptr; item = item->next_ready, ++count) {
      items.push_back(item);
      if (dynamic_cast<posted_function*>(item) != nullptr)
        posted.push_back(item);
    }
    std::shuffle(items.begin(), items.end(), shuffle_);
    auto next_posted = posted.begin();
    for (ready_item*& item : items) {
      if (dynamic_cast<posted_function*>(item) != nullptr)
        item = *next_posted++;
    }
    first_ready_ = nullptr;
    last_ready_ = &first_ready_;
    for (ready_item* item : items)
      enqueue(*item);
  } catch (const std::bad_alloc&) {
    return batch; // in their order for once
  }
  return count;
}

void loop::run_ready_batch() noexcept {
  std::size_t most = batch;
  if (options_.shuffle_seed) [[unlikely]]
    most = shuffle_ready();
  for (std::size_t i = 0; i < most && first_ready_ != nullptr; ++i) {
    ready_item& item = *first_ready_;
    first_ready_ = item.next_ready;
    if (first_ready_ == nullptr)
      last_ready_ = &first_ready_;
    item.run_ready();
  }
}

void loop::collect_inbox() noexcept {
  if (inbox_.empty())
    return;
  for (ready_item* item = inbox_.take_all(); item != nullptr;) {
    ready_item* next = item->next_ready;
    enqueue(*item);
    item = next;
  }
}

void loop::sleep_until_next(const detail::future_state_base* until) {
  // The end of run() may have come with the last item; then there is nothing to sleep for: nothing is live,
  // or what is has yet to be cancelled.
  if (live_tasks_ == 0 || (until != nullptr && until->ready()))
    return;
  if (!inbox_.fall_asleep())
    return;
  const auto next_timer = timers_.next();
  {
    // Besides the loop, only descriptors refer to the reactor.
    const told_sleep told(next_timer == never && reactor_.use_count() == 1);
    reactor_->wait(next_timer);
  }
  if (inbox_.wake_up())
    ++bells_announced_;
}

std::string_view this_task_name() noexcept {
  const coroutine_context* running = coroutine_context::current();
  return running == nullptr ? std::string_view() : static_cast<const detail::root_context*>(running)->name();
}

namespace detail {

bool loop_call_host::on_loop_thread() const noexcept {
  const std::lock_guard guard(lock_);
  return owner_ != nullptr && owner_ == running_loop;
}

void loop_call_host::throw_if_on_loop_thread() const {
  if (on_loop_thread()) {
    throw wrong_thread("future: a blocking wait on the loop that has to produce the result; use co_await");
  }
}

cancel_scope& loop_call_host::open_scope() {
  loop& owner = *running_loop;
  owner.task_started();
  return own_scope_.emplace(&owner.running_scope());
}

void loop_call_host::close_scope(root_context& context) noexcept {
  context.unlink();
  own_scope_.reset();
  running_loop->task_ended();
}

bool loop_call_host::post_cancellation(std::move_only_function<void()> cancel) noexcept {
  // Under the lock the loop cannot end: it waits for this call, and the call ends by forget_loop().
  const std::lock_guard guard(lock_);
  if (owner_ == nullptr)
    return false;
  try {
    static_cast<loop*>(owner_)->post(std::move(cancel));
    return true;
  } catch (...) {
    return false;
  }
}

void loop_call_host::forget_loop() noexcept {
  const std::lock_guard guard(lock_);
  owner_ = nullptr;
}

} // namespace detail
} // namespace fourfold
