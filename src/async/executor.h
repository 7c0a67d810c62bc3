/*
 * A reader's part of the process's threads (thread_pool.h): how many of its tasks may run at once. Three lanes, so that
 * what waits never holds up what computes:
 *   SCAN     scans shards; one task for each CPU; they never wait
 *   LOAD     loads shards; its tasks wait for storage, never for other tasks
 *   CONTROL  opens, refreshes, closes; its tasks may wait for those of the other lanes
 */
#ifndef SF_ASYNC_EXECUTOR_H
#define SF_ASYNC_EXECUTOR_H

#include "base/error.h"
#include "shardyfusion/async.h"

typedef enum sf_lane { SF_LANE_SCAN, SF_LANE_LOAD, SF_LANE_CONTROL, SF_NUM_LANES } sf_lane;

/* Embedded in what is to be done. */
typedef struct sf_task {
  struct sf_task *next;
  void (*run)(struct sf_task *task); /* may free the task */
} sf_task;

/* Queues a task, first come first served within its lane. False when no thread could be started to run it, and errno
 * says why: the task is not queued then. */
bool sf_executor_submit(sf_executor *executor, sf_lane lane, sf_task *task);

/* For a task that has run for a while: the same task goes back, before those of its executor that wait. */
bool sf_executor_resubmit(sf_executor *executor, sf_lane lane, sf_task *task);

/* Whether a task should do that now, because other readers or an event loop wait for its thread. A hint. */
bool sf_executor_should_yield(const sf_executor *executor, sf_lane lane);

/* Between two pieces of a task's work: lets other threads of the machine have the CPU, where tasks of the lane wait. To be
 * called without a lock. */
void sf_executor_offer_cpu(const sf_executor *executor, sf_lane lane);

/* How many more tasks could begin at once: as the executor's bound and idle threads allow, and ones that could still be
 * started, less the tasks that wait already. A hint: it can be wrong a moment later. */
uint32_t sf_executor_idle(sf_executor *executor, sf_lane lane);

void sf_executor_retain(sf_executor *executor);

/* Fails in a fork's child, which has none of the executor's threads. */
sf_code sf_executor_check(const sf_executor *executor, sf_error *error);

#endif
