// Generators, with and without a loop, and clean-up that awaits when a scope is left.
#include <fourfold/fourfold.hpp>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

int failures = 0;

void expect(bool right, const char* sentence) {
  std::printf("%s: %s\n", right ? "yes" : "NO", sentence);
  failures += right ? 0 : 1;
}

// A plain generator is a range. It is endless, and computes what is asked for.
fourfold::generator<int> primes() {
  std::vector<int> found;
  for (int n = 2;; ++n) {
    bool prime = true;
    for (const int p : found)
      prime = prime && n % p != 0;
    if (!prime)
      continue;
    found.push_back(n);
    co_yield n;
  }
}

struct folder {
  std::string name;
  std::vector<folder> folders{};
};

// Recursion: an element passes through all levels at once.
fourfold::generator<const std::string&> names_in(const folder& f) {
  co_yield f.name;
  for (const folder& inner : f.folders)
    co_yield fourfold::elements_of(names_in(inner));
}

void without_a_loop() {
  int sum = 0;
  for (const int prime : primes()) {
    if (prime > 50)
      break;
    sum += prime;
  }
  expect(sum == 328, "the primes up to 50 add up");

  const folder home{"home", {{"music", {{"bach"}, {"coltrane"}}}, {"letters"}}};
  std::string names;
  for (const std::string& name : names_in(home))
    names += name + ' ';
  expect(names == "home music bach coltrane letters ", "a tree is walked in order");
}

// What a server would send page by page. `open` counts connections.
fourfold::task<std::vector<int>> fetch_page(int page) {
  co_await fourfold::sleep(1ms);
  if (page == 4)
    co_return {};
  co_return {page * 10, page * 10 + 1};
}

fourfold::task<> say_goodbye(int& open) {
  co_await fourfold::sleep(1ms);
  --open;
}

// An asynchronous generator awaits between its elements, and here at its end, too.
fourfold::async_generator<int> all_items(int& open) {
  ++open;
  try {
    for (int page = 1;; ++page) {
      const std::vector<int> items = co_await fetch_page(page);
      if (items.empty())
        break;
      for (const int item : items)
        co_yield item;
    }
  } catch (const fourfold::cancelled&) { // by close(), at the co_yield
  }
  co_await fourfold::shield(say_goodbye(open));
}

fourfold::task<int> sum_up_to(int last, int& open) {
  auto body = [&](fourfold::exit_stack& stack) -> fourfold::task<int> {
    auto& items = stack.push(all_items(open), [](auto& generator) { return std::move(generator).close(); });
    int sum = 0;
    while (const int* item = co_await items.next()) {
      if (*item > last)
        break; // the stack closes the generator, and waits for its goodbye
      sum += *item;
    }
    co_return sum;
  };
  co_return co_await fourfold::with_exit_stack(body);
}

fourfold::task<> on_a_loop() {
  int open = 0;
  expect(co_await sum_up_to(100, open) == 123, "all pages add up");
  expect(co_await sum_up_to(20, open) == 41, "and so do those before the consumer left");
  expect(open == 0, "the generator has said goodbye both times");

  bool cleaned_up = false;
  auto hang = [&](fourfold::exit_stack& stack) -> fourfold::task<> {
    stack.push([&cleaned_up]() -> fourfold::task<> {
      co_await fourfold::sleep(1ms);
      cleaned_up = true;
    });
    co_await fourfold::sleep(1h);
  };
  bool timed_out = false;
  auto work = fourfold::with_exit_stack(hang);
  try {
    co_await fourfold::timeout(5ms, std::move(work));
  } catch (const fourfold::timed_out&) {
    timed_out = true;
  }
  expect(timed_out && cleaned_up, "a body that was cancelled is cleaned up, and that may await");
}

} // namespace

int main() {
  without_a_loop();
  fourfold::run(on_a_loop());
  return failures;
}
