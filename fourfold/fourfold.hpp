#pragma once

/// \file
/// Everything: one await, and the local places to run. Each header can be included by itself.

#include <fourfold/base/cancellation.hpp>
#include <fourfold/base/clock.hpp>
#include <fourfold/base/codec.hpp>
#include <fourfold/base/cpu_count.hpp>
#include <fourfold/base/errors.hpp>
#include <fourfold/base/generator.hpp>
#include <fourfold/base/wait_limit.hpp>
#include <fourfold/io/ip_endpoint.hpp>
#include <fourfold/io/tcp.hpp>
#include <fourfold/loop/async_generator.hpp>
#include <fourfold/loop/exception_group.hpp>
#include <fourfold/loop/exit_stack.hpp>
#include <fourfold/loop/gather.hpp>
#include <fourfold/loop/loop.hpp>
#include <fourfold/loop/run.hpp>
#include <fourfold/loop/signal_set.hpp>
#include <fourfold/loop/sleep.hpp>
#include <fourfold/loop/task.hpp>
#include <fourfold/loop/task_group.hpp>
#include <fourfold/loop/timeout.hpp>
#include <fourfold/place/executor.hpp>
#include <fourfold/place/map.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/sync/event.hpp>
#include <fourfold/sync/future.hpp>
#include <fourfold/sync/mutex.hpp>
#include <fourfold/sync/queue.hpp>
#include <fourfold/sync/semaphore.hpp>
#include <fourfold/thread/global_lock.hpp>
#include <fourfold/thread/thread_pool.hpp>
