/*
 * Tasks, and the lanes that they run in. There are three, so that a task that waits never holds up one that computes:
 *   SCAN     scans shards; one task for each CPU; they never wait
 *   LOAD     loads shards; its tasks wait for storage, never for other tasks
 *   CONTROL  opens, refreshes, closes; its tasks may wait for those of the other lanes
 */
#ifndef SF_ASYNC_TASK_H
#define SF_ASYNC_TASK_H

typedef enum sf_lane { SF_LANE_SCAN, SF_LANE_LOAD, SF_LANE_CONTROL, SF_NUM_LANES } sf_lane;

/* Embedded in the work that it runs. */
typedef struct sf_task {
  struct sf_task *next;
  void (*run)(struct sf_task *task); /* may free the task */
} sf_task;

#endif
