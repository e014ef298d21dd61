// B21: the smallest program that waits and says something, with the headers that it needs.
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task.hpp>

#include <chrono>
#include <cstdio>

namespace {

fourfold::task<> hello() {
  co_await fourfold::sleep(std::chrono::milliseconds(1));
  std::puts("hello");
}

} // namespace

int main() { fourfold::run(hello()); }
