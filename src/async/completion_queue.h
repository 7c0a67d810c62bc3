/*
 * A completion queue: finished operations in the order in which they finished, for a thread that waits or an event loop that
 * polls a file descriptor. The descriptor is the read end of a pipe, which holds one byte while operations are queued.
 *
 * Reference counted: by its owner, and by each operation that will be queued. After its owner freed it, operations are
 * dropped instead of queued. The mutex is taken after an operation's; the byte is written after both are released, since
 * the owner, once awake, wants them at once.
 */
#ifndef SF_ASYNC_COMPLETION_QUEUE_H
#define SF_ASYNC_COMPLETION_QUEUE_H

#include "base/error.h"
#include "shardyfusion/async.h"

/* A place in a queue, embedded in an operation; guarded by the queue's mutex. */
typedef struct sf_queue_link {
  struct sf_queue_link *previous;
  struct sf_queue_link *next;
  sf_operation *operation;
  bool queued;
} sf_queue_link;

/* Fails in a fork's child, which shares the pipe with its parent and must not take the parent's wake-ups out of it. */
sf_code sf_completion_queue_check(const sf_completion_queue *queue, sf_error *error);

void sf_completion_queue_retain(sf_completion_queue *queue);
void sf_completion_queue_release(sf_completion_queue *queue);

/* Queues a finished operation, unless the queue was freed by its owner. True where the caller has to call
 * sf_completion_queue_wake, after it released its locks. */
bool sf_completion_queue_push(sf_completion_queue *queue, sf_queue_link *link);
void sf_completion_queue_wake(sf_completion_queue *queue);
/* Removes an operation, if it is still queued. */
void sf_completion_queue_remove(sf_completion_queue *queue, sf_queue_link *link);

#endif
