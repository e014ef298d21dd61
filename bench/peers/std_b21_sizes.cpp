// B21, the standard library: the objects like ours, for threads only.
#include "../support/measure.hpp"

#include <future>
#include <mutex>
#include <semaphore>

int main() {
  measure::print({{"mutex", static_cast<double>(sizeof(std::mutex))},
                  {"semaphore", static_cast<double>(sizeof(std::counting_semaphore<>))},
                  {"future", static_cast<double>(sizeof(std::future<int>))},
                  {"promise", static_cast<double>(sizeof(std::promise<int>))}});
}
