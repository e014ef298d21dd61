// B21, libuv: the objects like ours.
#include "../support/measure.hpp"

#include <uv.h>

int main() {
  measure::print({{"loop", static_cast<double>(sizeof(uv_loop_t))},
                  {"tcp_stream", static_cast<double>(sizeof(uv_tcp_t))},
                  {"tcp_listener", static_cast<double>(sizeof(uv_tcp_t))}});
}
