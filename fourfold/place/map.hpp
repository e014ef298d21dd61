#pragma once

#include <fourfold/base/wait_limit.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/place/detail/map_run.hpp>
#include <fourfold/place/executor.hpp>

#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold {

struct map_options {
  /// How many inputs travel in one call; 0 chooses by what those before have cost: one at first, then as many as
  /// take a millisecond, and towards the end of a range whose size is known fewer, so that all workers end
  /// together. A call that takes four times as long gives back what it has not begun. A coroutine function always
  /// gets one, since many of them run at once anyway.
  std::size_t chunk = 0;
  /// How many calls may be at the place at once, begun or not; 0 chooses: four for each worker, or 1000 of a
  /// coroutine function. When results are taken one by one, at most as many again wait to be taken; so this bounds
  /// how far the inputs are read ahead.
  std::size_t calls = 0;
  /// Told, whenever a call has ended, how many inputs are done in all; where the results are taken. If it throws,
  /// that is the map's failure.
  std::function<void(std::size_t done)> progress = {};
};

/// A result that knows the index of its input. `std::monostate` stands for void.
template <class R>
struct mapped {
  std::size_t index;
  detail::kept_result<R> value;
};

/// The results of a function for many inputs, at some place; made by `map` and `map_unordered`. They are taken
/// all at once or one by one, by a thread or by a coroutine:
///
///   std::vector<long> all = m.get();                 all = co_await m;
///   for (long& one : m) …                            while (long* one = co_await m.async_next()) …
///
/// Drives itself only while somebody takes: inputs are pulled, and calls submitted, there. An element is valid
/// until the next one is asked for. The first failure cancels what has not begun and tells what runs; when that
/// has ended, the failure of the earliest input is thrown, and no more results come.
///
/// Cancellation-aware: yes. A blocking wait that is cancelled or reaches its limit leaves the map as it is, to be
/// taken up again; a cancelled `co_await` stops it, and throws when what runs has ended. Resumes: a coroutine on
/// its own loop. Threads: any, one at a time. Destruction, also of one whose results have not all been taken,
/// cancels what has not begun. It waits for what runs only if function or inputs may refer to something that
/// belongs to the caller (the codec refuses them), and never on a loop's thread: `co_await m.async_stop()` does.
/// The place must outlive it.
template <class Run, class Element, class Whole>
class [[nodiscard]] mapping {
 public:
  using value_type = Element;

  /// For map() and map_unordered().
  explicit mapping(std::unique_ptr<Run> run) noexcept : run_(std::move(run)) {}

  /// Waits for all results that have not been taken, and takes them (nothing for void). Throws `timed_out` or
  /// `cancelled`, losing nothing, and what the function, the inputs' range and submit throw.
  Whole get(const wait_limit& limit = {}) {
    begin_whole();
    while (collect() == Run::step::wait)
      run_->wait(limit);
    return take_whole();
  }
  [[nodiscard]] auto operator co_await() { return awaited_task<Whole>(async_get()); }

  /// The next result, or null after the last one. As get() otherwise.
  [[nodiscard]] Element* next(const wait_limit& limit = {}) {
    for (;;) {
      switch (run_->advance()) {
      case Run::step::item: return take_one();
      case Run::step::wait: run_->wait(limit); break;
      case Run::step::end: return nullptr;
      }
    }
  }
  [[nodiscard]] task<Element*> async_next() {
    for (;;) {
      switch (run_->advance()) {
      case Run::step::item: co_return take_one();
      case Run::step::wait: co_await run_->async_wait(); break;
      case Run::step::end: co_return nullptr;
      }
    }
  }

  /// Cancels what has not begun and waits for what runs. Their results, and errors, are dropped.
  [[nodiscard]] task<> async_stop() { return run_->async_stop(); }

  /// Takes the results as next() does.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = Element;
    using difference_type = std::ptrdiff_t;

    [[nodiscard]] Element& operator*() const noexcept { return *element_; }
    iterator& operator++() {
      element_ = owner_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    [[nodiscard]] friend bool operator==(const iterator& it, std::default_sentinel_t) noexcept {
      return it.element_ == nullptr;
    }

   private:
    friend mapping;
    explicit iterator(mapping& owner) : owner_(&owner), element_(owner.next()) {}

    mapping* owner_;
    Element* element_;
  };
  [[nodiscard]] iterator begin() { return iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  static constexpr bool gives_nothing = std::is_void_v<Whole>;

  /// An awaiter that owns the task that it awaits.
  template <class T>
  class awaited_task {
   public:
    explicit awaited_task(task<T> work)
        : work_(std::move(work)), awaiter_(std::move(work_).operator co_await()) {}
    bool await_ready() const noexcept { return awaiter_.await_ready(); }
    bool await_suspend(std::coroutine_handle<> awaiting) { return awaiter_.await_suspend(awaiting); }
    T await_resume() { return awaiter_.await_resume(); }

   private:
    task<T> work_;
    decltype(std::declval<task<T>>().operator co_await()) awaiter_;
  };

  task<Whole> async_get() {
    begin_whole();
    while (collect() == Run::step::wait)
      co_await run_->async_wait();
    co_return take_whole();
  }

  void begin_whole() {
    run_->collect_all();
    if constexpr (!gives_nothing)
      whole_.reserve(run_->expected());
  }
  typename Run::step collect() {
    for (;;) {
      const auto step = run_->advance();
      if (step != Run::step::item)
        return step;
      run_->take_ready(whole_);
    }
  }
  Whole take_whole() {
    if constexpr (!gives_nothing)
      return std::move(whole_);
  }
  Element* take_one() {
    std::size_t index = 0;
    if constexpr (std::is_same_v<Element, mapped<typename Run::result>>) {
      auto value = run_->take_front(index);
      element_.emplace(Element{index, std::move(value)});
    } else {
      element_.emplace(run_->take_front(index));
    }
    return &*element_;
  }

  std::unique_ptr<Run> run_;
  std::optional<Element> element_;
  std::vector<Element> whole_;
};

namespace detail {

template <bool Ordered, executor E, class F, std::ranges::input_range Range>
auto make_mapping(E& place, F f, Range&& inputs, map_options options) {
  using view = std::views::all_t<Range>;
  constexpr bool moves = !std::is_lvalue_reference_v<Range> && !std::ranges::view<std::remove_cvref_t<Range>>;
  using run = map_run<E, F, view, moves, Ordered>;
  using result = typename run::result;
  using element = std::conditional_t<Ordered, kept_result<result>, mapped<result>>;
  using whole = std::conditional_t<std::is_void_v<result>, void, std::vector<element>>;
  constexpr std::size_t coroutines = 1000;
  constexpr std::size_t calls_per_worker = 4;
  const std::size_t chosen = run::is_coroutine ? coroutines : calls_per_worker * parallelism(place);
  auto state = std::make_unique<run>(place, std::move(f), std::views::all(std::forward<Range>(inputs)),
                                     map_limits{.chunk = options.chunk,
                                                .most_running = options.calls != 0 ? options.calls : chosen,
                                                .progress = std::move(options.progress)});
  state->start();
  return mapping<run, element, whole>(std::move(state));
}

template <class F>
struct unpacked_call {
  [[no_unique_address]] F f;

  template <class Tuple>
  decltype(auto) operator()(Tuple&& arguments) const {
    return std::apply(f, std::forward<Tuple>(arguments));
  }
};

} // namespace detail

/// Calls `f` for each input, at `place`, and gives the results in the order of the inputs.
///
///   std::vector<std::uint64_t> counts = map(pool, count_primes, limits).get();      // or co_await map(…)
///   for (auto count : map(pool, count_primes, std::views::iota(1)))                 // lazily: the input has no end
///     if (count > 1000)
///       break;                                                                     // and this stops it
///
/// `f` is a function or, where the place runs coroutines, a coroutine function. The first calls are submitted at
/// once; after that, inputs are read as results are taken. A range that is passed as an lvalue, or a view of one,
/// must live until then, and its elements are copied; those of a container passed as an rvalue are moved from.
/// Throws what submit and the range throw.
template <executor E, class F, std::ranges::input_range Range>
auto map(E& place, F f, Range&& inputs, map_options options = {}) {
  return detail::make_mapping<true>(place, std::move(f), std::forward<Range>(inputs), std::move(options));
}

/// As map, but gives results as they come, each with the index of its input (`mapped`): a slow input holds back
/// none but itself.
///
///   for (auto& [index, page] : map_unordered(pool, fetch, urls))
///     show(urls[index], page);
template <executor E, class F, std::ranges::input_range Range>
auto map_unordered(E& place, F f, Range&& inputs, map_options options = {}) {
  return detail::make_mapping<false>(place, std::move(f), std::forward<Range>(inputs), std::move(options));
}

/// A function that takes a tuple (or a pair, or an array) and calls `f` with its elements as arguments:
///
///   map(pool, unpacked(power), std::vector<std::tuple<double, int>>{{2.0, 10}, {3.0, 5}})
template <class F>
[[nodiscard]] auto unpacked(F f) {
  return detail::unpacked_call<F>{std::move(f)};
}

} // namespace fourfold
