/*
 * The threads of all executors of a process: one pool for each nice value in use, shared by its clients. A lane has up to as
 * many threads as its widest client may use, started when there is work; a thread that finds none for a few seconds ends. A
 * pool ends with its last client: its threads have ended then, or are about to.
 *
 * Each client has a queue of its own in each lane, and a bound on how many of its tasks run at once. Threads serve the
 * clients that have tasks round robin, one task each, and each client's tasks first come first served: no reader waits
 * behind another's queue.
 *
 * Scans can use every CPU. An event loop that becomes ready meanwhile would wait for a CPU until the kernel's next tick, so
 * a scanning thread offers its CPU about every millisecond while tasks wait. It does not while none waits: the scan is then
 * of the one search that the loop is waiting for (sf_pool_offer_cpu).
 *
 * Locks: one mutex, the registry's, guards all pools. It is the last in the lock order (after those of a search, a served
 * snapshot, a reader, an operation): nothing else is locked while it is held. It is held around a fork, so that the child
 * finds it free; the child begins without pools.
 */
#ifndef SF_ASYNC_THREAD_POOL_H
#define SF_ASYNC_THREAD_POOL_H

#include "async/task.h"
#include "base/error.h"
#include "base/thread.h"

typedef struct sf_thread_pool sf_thread_pool;
typedef struct sf_pool_client sf_pool_client;

/* One client's part of a lane. */
typedef struct sf_pool_share {
  sf_pool_client *client;
  struct sf_pool_share *next; /* in the ring of shares with a task that may run now */
  struct sf_pool_share *previous;
  bool is_ready; /* in that ring */
  sf_task *first;
  sf_task *last;
  uint32_t num_queued;
  uint32_t num_running;
  uint32_t max_running;
} sf_pool_share;

/* Embedded as the first member of what submits tasks; zero-initialise. */
struct sf_pool_client {
  sf_thread_pool *pool;
  sf_pool_client *next; /* of the pool */
  sf_pool_share shares[SF_NUM_LANES];
  bool is_leaving;
  bool is_awaited;      /* a thread waits in sf_pool_leave */
  pthread_cond_t ended; /* all of its tasks have ended */
};

/* Adds a client, whose shares' `max_running` are set, to the pool of threads whose nice value is `nice` above the
 * process's. */
sf_code sf_pool_enter(sf_pool_client *client, uint32_t nice, sf_error *error);

/* Removes a client after all of its tasks have run, and frees it with free(). Waits for that, and for the pool's threads to
 * end where it was the last client; but returns at once on one of the pool's threads, where the last task frees the client. */
void sf_pool_leave(sf_pool_client *client);

/* Queues a task after the client's others, or before them. False when there is no thread to run it and none could be
 * started: then errno is the reason, and the task is not queued. */
bool sf_pool_submit(sf_pool_client *client, sf_lane lane, sf_task *task, bool is_first);

/* How many more tasks of the client could begin at once. A hint. */
uint32_t sf_pool_idle(sf_pool_client *client, sf_lane lane);

/* Whether a task that takes long should be queued again: others wait for its thread. A hint. */
bool sf_pool_should_yield(const sf_pool_client *client, sf_lane lane);

/* Offers the CPU to other threads of the machine, where tasks of the lane wait for a thread. Without a lock. */
void sf_pool_offer_cpu(const sf_pool_client *client, sf_lane lane);

#endif
