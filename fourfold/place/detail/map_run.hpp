#pragma once

#include <fourfold/base/codec.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/place/detail/completion_line.hpp>
#include <fourfold/place/detail/map_chunk.hpp>
#include <fourfold/place/executor.hpp>
#include <fourfold/process/code_address.hpp>
#include <fourfold/sync/future.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <limits>
#include <list>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace fourfold::detail {

/// What a map is told by its options, in whatever way they are spelled.
struct map_limits {
  std::size_t chunk;
  std::size_t most_running;
  std::function<void(std::size_t)> progress;
};

/// A map under way, driven by its one consumer: pulls inputs, submits calls, and puts what they give in
/// order. advance() does what can be done without waiting; the two faces of `mapping` wait, each in its way.
///
/// `Moves`: the inputs are this map's own, to be moved from. `Ordered`: results come in the order of inputs.
template <class E, class F, class View, bool Moves, bool Ordered>
class map_run {
 public:
  using input = std::ranges::range_value_t<View>;
  using result = call_result_t<F, input>;
  static constexpr bool is_coroutine = is_coroutine_result_v<std::invoke_result_t<F&, input>>;
  using part = std::conditional_t<is_coroutine, result, chunk_result<input, result>>;

  map_run(E& place, F f, View inputs, map_limits limits)
      : place_(place),
        f_(std::move(f)),
        inputs_(std::move(inputs)),
        limits_(std::move(limits)),
        sizes_(is_coroutine ? 1 : limits_.chunk, std::max(sizeof(input), sizeof(kept_result<result>))) {}
  map_run(const map_run&) = delete;
  map_run& operator=(const map_run&) = delete;
  ~map_run() { abandon(); }

  /// Submits the first calls. Throws what pulling and submitting throws.
  void start() {
    fill();
    if (failure_)
      std::rethrow_exception(failure_);
  }

  enum class step : std::uint8_t { item, wait, end };
  /// Goes as far as it can without waiting. `item`: front() is there; `wait`: something must end first.
  /// Throws the failure when all has ended; after that, and after the last result, `end`.
  step advance() {
    while (completion_line::entry* ended = line_.try_take())
      end_one(static_cast<slot&>(*ended));
    fill();
    if (failure_) {
      if (running_ != 0)
        return step::wait;
      ready_.clear();
      slots_.clear();
      std::rethrow_exception(std::exchange(failure_, nullptr));
    }
    while (!ready_.empty() && ready_.front().next == ready_.front().results.size())
      ready_.pop_front();
    if (!ready_.empty())
      return step::item;
    return running_ != 0 ? step::wait : step::end;
  }

  /// After `wait`.
  void wait(const wait_limit& limit) { end_one(static_cast<slot&>(line_.take(limit, *oldest().call))); }
  /// The same in a coroutine. If that is cancelled, all stops, and `cancelled` is thrown after what runs has
  /// ended.
  task<> async_wait() {
    bool interrupted = false;
    try {
      co_await line_.async_ended();
      end_one(static_cast<slot&>(line_.ended_one()));
    } catch (const cancelled&) {
      interrupted = true;
    }
    if (!interrupted)
      co_return;
    co_await shield(async_stop());
    throw_cancelled();
  }
  /// Cancels what has not begun and waits for what runs; what they give is dropped.
  task<> async_stop() {
    stop();
    while (running_ != 0) {
      co_await line_.async_ended();
      end_one(static_cast<slot&>(line_.ended_one()));
    }
    failure_ = nullptr;
    ready_.clear();
    slots_.clear();
  }

  /// The first of the results that are there, with the index of its input. After `item`.
  [[nodiscard]] kept_result<result> take_front(std::size_t& index) {
    slot& front = ready_.front();
    index = front.first + front.next;
    return std::move(front.results[front.next++]);
  }
  /// All that are there, to be appended to `whole`.
  template <class Element>
  void take_ready(std::vector<Element>& whole) {
    for (slot& one : ready_) {
      if constexpr (std::is_same_v<Element, kept_result<result>>) {
        whole.insert(whole.end(), std::make_move_iterator(one.results.begin() + offset(one.next)),
                     std::make_move_iterator(one.results.end()));
      } else {
        for (; one.next < one.results.size(); ++one.next)
          whole.push_back({one.first + one.next, std::move(one.results[one.next])});
      }
    }
    ready_.clear();
  }
  /// From now on results are kept elsewhere, so any number may be there.
  void collect_all() noexcept { collecting_ = true; }
  /// How many inputs there are, if that is known.
  [[nodiscard]] std::size_t expected() {
    if constexpr (knows_its_size) {
      return static_cast<std::size_t>(std::ranges::size(inputs_));
    } else {
      return 0;
    }
  }

 private:
  /// A call, from the moment its inputs are known until its results have been had.
  struct slot final : completion_line::entry {
    typename std::list<slot>::iterator self;
    state_pointer<future_state<part>> call; // null: not submitted yet
    std::vector<input> inputs;              // then
    std::size_t first = 0;                  // index of the first input
    bool ended = false;
    std::vector<kept_result<result>> results; // then
    std::size_t next = 0;                     // the first of them that has not been had
  };

  // That of an input range may be asked for before its first element only.
  static constexpr bool knows_its_size = std::ranges::sized_range<View> && std::ranges::forward_range<View>;

  static constexpr auto offset(std::size_t n) noexcept { return static_cast<std::ptrdiff_t>(n); }

  /// Whether the calls hold nothing that belongs to somebody else: the codec refuses references and pointers.
  static constexpr bool self_contained = (std::is_empty_v<F> || encodable<F>) && encodable<input>;

  [[nodiscard]] slot& new_slot(typename std::list<slot>::iterator before, std::size_t first) {
    const auto at = slots_.emplace(before);
    at->self = at;
    at->first = first;
    return *at;
  }

  [[nodiscard]] slot& oldest() noexcept {
    return *std::find_if(slots_.begin(), slots_.end(), [](const slot& s) { return s.call && !s.ended; });
  }

  // Never throws: what goes wrong ends the map as the failure of the input that it went wrong with.
  void fill() noexcept {
    while (!stopped_ && running_ < limits_.most_running) {
      std::size_t index = pulled_;
      try {
        if (!returned_.empty()) {
          slot& one = *returned_.back();
          index = one.first;
          returned_.pop_back();
          split(one);
          submit(one);
        } else if (exhausted_ ||
                   (!collecting_ && slots_.size() + ready_.size() >= 2 * limits_.most_running)) {
          return;
        } else {
          pull();
        }
      } catch (...) {
        fail(std::current_exception(), index);
      }
    }
  }

  void pull() {
    std::size_t size = sizes_.next();
    if constexpr (knows_its_size) {
      // Towards the end, so few that all workers come to their end together.
      if (!is_coroutine && limits_.chunk == 0) {
        const std::size_t left = static_cast<std::size_t>(std::ranges::size(inputs_)) - pulled_;
        size = std::clamp<std::size_t>(left / (std::size_t{2} * parallelism(place_)), 1, size);
      }
    }
    std::vector<input> some;
    some.reserve(size);
    if (!at_)
      at_.emplace(std::ranges::begin(inputs_));
    while (some.size() < size) {
      // Not before it is needed: the next element of a generator may be far away.
      if (std::exchange(advance_first_, false))
        ++*at_;
      if (*at_ == std::ranges::end(inputs_)) {
        exhausted_ = true;
        break;
      }
      if constexpr (Moves) {
        some.push_back(std::move(**at_));
      } else {
        some.push_back(**at_);
      }
      advance_first_ = true;
    }
    if (some.empty())
      return;
    slot& one = new_slot(slots_.end(), pulled_);
    pulled_ += some.size();
    one.inputs = std::move(some);
    submit(one);
  }

  /// Leaves so many inputs in a slot as a call is to have now, and puts the rest into one of its own.
  void split(slot& one) {
    const std::size_t size = sizes_.next();
    if (one.inputs.size() <= size)
      return;
    slot& rest = new_slot(std::next(one.self), one.first + size);
    rest.inputs.assign(std::make_move_iterator(one.inputs.begin() + offset(size)),
                       std::make_move_iterator(one.inputs.end()));
    one.inputs.erase(one.inputs.begin() + offset(size), one.inputs.end());
    returned_.push_back(&rest);
  }

  void submit(slot& one) {
    try {
      one.call = call_with(std::move(one.inputs)).release_state();
    } catch (...) {
      slots_.erase(one.self);
      throw;
    }
    one.inputs.clear();
    ++running_;
    line_.watch(one, *one.call);
  }
  future<part> call_with(std::vector<input> inputs) {
    if constexpr (is_coroutine) {
      return place_.submit(f_, std::move(inputs.front()));
    } else {
      return place_.submit(chunk_call<F, input>{f_}, std::move(inputs), sizes_.time());
    }
  }

  void end_one(slot& one) noexcept {
    --running_;
    one.ended = true;
    try {
      take_part(one);
      if (limits_.progress && !stopped_)
        limits_.progress(finished_);
    } catch (...) {
      fail(std::current_exception(), one.first);
    }
    one.call = {};
    if constexpr (Ordered) {
      while (!slots_.empty() && slots_.front().ended)
        ready_.splice(ready_.end(), slots_, slots_.begin());
    } else {
      ready_.splice(ready_.end(), slots_, one.self);
    }
  }
  void take_part(slot& one) {
    if constexpr (!is_coroutine) {
      part done = one.call->take();
      if (!done.results.empty())
        sizes_.measured(done.results.size(), done.nanoseconds);
      one.results = std::move(done.results);
      if (!done.rest.empty() && !stopped_) {
        slot& rest = new_slot(std::next(one.self), one.first + one.results.size());
        rest.inputs = std::move(done.rest);
        returned_.push_back(&rest);
      }
    } else if constexpr (std::is_void_v<result>) {
      one.call->take();
      one.results.emplace_back();
    } else {
      one.results.push_back(one.call->take());
    }
    finished_ += one.results.size();
  }

  /// Of several failures the one of the earliest input counts; a cancelled call is one only if nobody here
  /// has cancelled it.
  void fail(std::exception_ptr failure, std::size_t index) noexcept {
    if (stopped_ && is_cancelled(failure))
      return;
    if (!failure_ || index < failed_index_) {
      failure_ = std::move(failure);
      failed_index_ = index;
    }
    stop();
  }
  void stop() noexcept {
    stopped_ = true;
    returned_.clear();
    for (slot& one : slots_) {
      if (one.call && !one.ended)
        one.call->cancel_work();
    }
  }

  void abandon() noexcept {
    stop();
    // A loop may not be running, and a thread that runs one must not stand still.
    const bool waits = !self_contained && !std::is_same_v<E, loop> && loop::current_or_null() == nullptr;
    for (slot& one : slots_) {
      if (!waits && one.call && !one.ended && line_.withdraw(one))
        --running_;
    }
    for (; running_ != 0; --running_)
      static_cast<void>(line_.take_ending());
  }

  E& place_;
  F f_;
  View inputs_;
  map_limits limits_;
  chunk_sizes sizes_;

  std::optional<std::ranges::iterator_t<View>> at_;
  bool advance_first_ = false;
  bool exhausted_ = false;
  std::size_t pulled_ = 0;

  completion_line line_;
  std::list<slot> slots_;       // in the order of the inputs
  std::list<slot> ready_;       // ended, with results to be had
  std::vector<slot*> returned_; // in slots_: inputs that have come back
  std::size_t running_ = 0;
  std::size_t finished_ = 0;
  bool collecting_ = false;
  bool stopped_ = false;
  std::exception_ptr failure_;
  std::size_t failed_index_ = 0;
};

} // namespace fourfold::detail
