/*
 * An executor: one client of the process's threads (thread_pool.h), with a bound for each lane on how many of its tasks run
 * at once. A reader has its own, or shares one with other readers. Reference counted; each of its readers, operations and
 * callers holds a reference.
 */
#ifndef SF_ASYNC_EXECUTOR_H
#define SF_ASYNC_EXECUTOR_H

#include "async/task.h"
#include "base/error.h"
#include "shardyfusion/async.h"

/* Queues a task, first come first served within its lane. False when there is no thread to run it and none could be
 * started: then errno is the reason, and the task is not queued. */
bool sf_executor_submit(sf_executor *executor, sf_lane lane, sf_task *task);

/* Queues a running task again, before the executor's other tasks of the lane. */
bool sf_executor_resubmit(sf_executor *executor, sf_lane lane, sf_task *task);

/* Whether a running task should be resubmitted now: tasks of other readers, or of a shared executor, wait for its thread. A
 * hint. */
bool sf_executor_should_yield(const sf_executor *executor, sf_lane lane);

/* Offers the CPU to other threads of the machine, where tasks of the lane wait. To be called between two pieces of a task's
 * work, without a lock. */
void sf_executor_offer_cpu(const sf_executor *executor, sf_lane lane);

/* How many more tasks could begin at once: within the executor's bound, on idle threads and on ones that may still be
 * started, less the tasks that wait already. A hint: it can be wrong a moment later. */
uint32_t sf_executor_idle(sf_executor *executor, sf_lane lane);

void sf_executor_retain(sf_executor *executor);

/* Fails in a fork's child, which has none of the executor's threads. */
sf_code sf_executor_check(const sf_executor *executor, sf_error *error);

#endif
