// Two workers at once: A takes twice as long as B. Both start, B ends first, and all takes as long as A
// alone.
#include <fourfold/fourfold.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

void say(std::vector<std::string>& lines, const std::string& line) {
  std::printf("%s\n", line.c_str());
  lines.push_back(line);
}

fourfold::task<> worker(std::string name, fourfold::clock::duration time, std::vector<std::string>& lines) {
  say(lines, name + " starting");
  co_await fourfold::sleep(time);
  say(lines, name + " done");
}

} // namespace

int main() {
  std::vector<std::string> lines;
  const auto begin = fourfold::clock::now();
  fourfold::run(fourfold::gather(worker("A", 200ms, lines), worker("B", 100ms, lines)));
  const auto took = std::chrono::duration<double>(fourfold::clock::now() - begin);
  std::printf("%.1f s\n", took.count());
  return lines == std::vector<std::string>{"A starting", "B starting", "B done", "A done"} ? 0 : 1;
}
