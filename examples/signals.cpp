// Signals: Ctrl-C cancels the program's task, which cleans up; other signals are awaited.
// Sends the signals to itself. Yours come from the terminal and from `kill`.
#include <fourfold/fourfold.hpp>

#include <csignal>
#include <cstdio>

using namespace std::chrono_literals;

namespace {

int failures = 0;

void expect(bool right, const char* sentence) {
  std::printf("%s: %s\n", right ? "yes" : "NO", sentence);
  failures += right ? 0 : 1;
}

// A server that reads its configuration again on SIGHUP and ends on SIGTERM.
fourfold::task<> serve() {
  fourfold::signal_set signals({SIGHUP, SIGTERM});
  int reloads = 0;
  std::raise(SIGHUP); // kept until somebody asks
  while (co_await signals.next() == SIGHUP) {
    ++reloads;
    std::raise(SIGTERM);
  }
  expect(reloads == 1, "SIGHUP reloaded the configuration, then SIGTERM ended the server");
}

bool saved = false;

fourfold::task<> save() {
  co_await fourfold::sleep(5ms);
  saved = true;
}

fourfold::task<> edit() {
  std::raise(SIGINT); // as Ctrl-C does
  bool cancelled = false;
  try {
    co_await fourfold::sleep(1h);
  } catch (const fourfold::cancelled&) {
    cancelled = true; // no co_await inside of a handler: the language forbids it
  }
  if (cancelled) {
    co_await fourfold::shield(save()); // a second Ctrl-C would end the program here
    throw fourfold::cancelled();
  }
}

} // namespace

int main() {
  // A shell starts background jobs with SIGINT ignored, and run() would leave it so.
  std::signal(SIGINT, SIG_DFL);
  fourfold::run(serve());
  bool interrupted = false;
  try {
    fourfold::run(edit());
  } catch (const fourfold::interrupted& e) {
    // Without this handler, the shell would see that the program died of SIGINT.
    interrupted = e.signal() == SIGINT;
  }
  expect(interrupted, "Ctrl-C ended run() with `interrupted`");
  expect(saved, "after the task had cleaned up");
  return failures;
}
