// B21: the smallest program that waits and says something, with the header that has everything.
#include <fourfold/fourfold.hpp>

#include <chrono>
#include <cstdio>

namespace {

fourfold::task<> hello() {
  co_await fourfold::sleep(std::chrono::milliseconds(1));
  std::puts("hello");
}

} // namespace

int main() { fourfold::run(hello()); }
