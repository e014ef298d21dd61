// B21, libuv: a timer that says something.
#include <cstdio>

#include <uv.h>

int main() {
  uv_loop_t* loop = uv_default_loop();
  uv_timer_t timer;
  uv_timer_init(loop, &timer);
  const auto hello = [](uv_timer_t*) { std::puts("hello"); };
  uv_timer_start(&timer, hello, 1, 0);
  uv_run(loop, UV_RUN_DEFAULT);
  uv_loop_close(loop);
}
