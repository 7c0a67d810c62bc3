/* Where finished operations arrive. */
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

/* Operations hold the queue that they will arrive at. */
void sf_completion_queue_retain(sf_completion_queue *queue);
void sf_completion_queue_release(sf_completion_queue *queue);

/* Puts a finished operation at the end, unless the queue was freed by its owner. Whether the caller has to wake the
 * queue's owner, once it holds no lock that the owner will want at once. */
bool sf_completion_queue_push(sf_completion_queue *queue, sf_queue_link *link);
void sf_completion_queue_wake(sf_completion_queue *queue);
/* Takes it out, if it is still there. */
void sf_completion_queue_remove(sf_completion_queue *queue, sf_queue_link *link);

#endif
