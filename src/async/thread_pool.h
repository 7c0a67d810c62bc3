/*
 * The threads of all executors of a process: one pool for each nice value that is in use, shared by its clients. A lane
 * has as many threads as its widest client may use, started when there is work; one that finds none for a few seconds
 * ends. A pool ends with its last client, and then all of its threads have ended or are about to.
 *
 * Each client has a queue of its own in each lane, and a bound on how many of its tasks run at once. Threads serve the
 * clients that have tasks in turns, one task each (round robin; within a client, first come first served), so that no
 * reader waits behind another's queue.
 *
 * Scanning can use every CPU, and an event loop that has become ready waits for a CPU then until the kernel's next tick. So a
 * thread that scans offers its CPU between two pieces of work of a millisecond or less, while tasks wait: without any, the
 * scan of one search is worth more to that loop than its CPU (sf_pool_offer_cpu).
 *
 * There is one lock, the registry's, which guards all pools. It is taken last: after a search's, a shard cache's or a
 * reader's mutex; nothing else is locked while it is held. It is taken around a fork, so that a child finds it free; the
 * child begins with no pools.
 */
#ifndef SF_ASYNC_THREAD_POOL_H
#define SF_ASYNC_THREAD_POOL_H

#include "async/executor.h"
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

/* Embedded at the beginning of what has tasks run; zero-initialise. */
struct sf_pool_client {
  sf_thread_pool *pool;
  sf_pool_client *next; /* of the pool */
  sf_pool_share shares[SF_NUM_LANES];
  bool is_leaving;
  bool is_awaited;      /* somebody waits in sf_pool_leave */
  pthread_cond_t ended; /* all of its tasks have ended */
};

/* Enters a client whose shares' `max_running` are set, into the pool of threads whose nice value is `nice` above the
 * process's. */
sf_code sf_pool_enter(sf_pool_client *client, uint32_t nice, sf_error *error);

/* Lets a client go, once all of its tasks have run, and frees it with free(). Waits for that, and for the pool's threads
 * where it was the last client, unless the caller is one of the pool's threads. */
void sf_pool_leave(sf_pool_client *client);

/* Queues a task, behind the client's others or before them. False when there is no thread to run it and none could be
 * started, and errno says why: the task is not queued then. */
bool sf_pool_submit(sf_pool_client *client, sf_lane lane, sf_task *task, bool is_first);

/* How many more tasks of the client could begin at once. A hint. */
uint32_t sf_pool_idle(sf_pool_client *client, sf_lane lane);

/* Whether a task that takes long should go back into the queue: others wait for its thread. A hint. */
bool sf_pool_should_yield(const sf_pool_client *client, sf_lane lane);

/* Lets other threads of the machine have the CPU, where tasks of the lane wait for a thread. To be called without a lock. */
void sf_pool_offer_cpu(const sf_pool_client *client, sf_lane lane);

#endif
