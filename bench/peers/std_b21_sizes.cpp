// B21, the standard library: the objects like ours, for threads only.
#include "../support/measure.hpp"

#include <barrier>
#include <condition_variable>
#include <future>
#include <latch>
#include <mutex>
#include <semaphore>

int main() {
  measure::print({{"mutex", static_cast<double>(sizeof(std::mutex))},
                  {"recursive_mutex", static_cast<double>(sizeof(std::recursive_mutex))},
                  {"condition", static_cast<double>(sizeof(std::condition_variable))},
                  {"barrier", static_cast<double>(sizeof(std::barrier<>))},
                  {"latch", static_cast<double>(sizeof(std::latch))},
                  {"semaphore", static_cast<double>(sizeof(std::counting_semaphore<>))},
                  {"future", static_cast<double>(sizeof(std::future<int>))},
                  {"promise", static_cast<double>(sizeof(std::promise<int>))}});
}
