// The sources that are examined, compiled as the explorer needs them.

#include <model/modelled.hpp>

#include <fourfold/base/cancellation.cpp>
#include <fourfold/base/context_value.cpp>
#include <fourfold/base/coroutine_context.cpp>
#include <fourfold/base/errors.cpp>
#include <fourfold/base/lost_error.cpp>
#include <fourfold/base/misuse.cpp>
#include <fourfold/base/wait_observer.cpp>
#include <fourfold/base/waiter.cpp>
#include <fourfold/sync/barrier.cpp>
#include <fourfold/sync/condition.cpp>
#include <fourfold/sync/event.cpp>
#include <fourfold/sync/future.cpp>
#include <fourfold/sync/mutex.cpp>
#include <fourfold/sync/semaphore.cpp>
#include <fourfold/thread/detail/idle_workers.cpp>

#define small_lock real_small_lock
#include <fourfold/base/small_lock.cpp>
