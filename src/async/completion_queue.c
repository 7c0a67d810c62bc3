#include "async/completion_queue.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/thread.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct sf_completion_queue {
  atomic_uint references; /* the owner's, and one for each operation */
  long process;
  pthread_mutex_t mutex;
  pthread_cond_t arrived;
  sf_queue_link ring; /* head: next is the first to pop */
  bool freed;         /* by the owner: nothing is queued any more */
  /* A byte is in the pipe, or about to be written: one for all operations that are queued until it is read. */
  bool signalled;
  /* Both ends stay open until the last reference is released: a thread may be about to write. */
  int read_end;
  int write_end;
};

static void set_flags(int descriptor) {
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

sf_code sf_completion_queue_create(sf_completion_queue **created, sf_error *error) {
  int ends[2];
  if (pipe(ends) != 0)
    return sf_fail(error, sf_errno_code(errno, SF_POOL_EXHAUSTED_ERROR), "completion queue: can't make a pipe: %s",
                   strerror(errno));
  sf_completion_queue *queue = sf_calloc(1, sizeof(*queue));
  if (queue == NULL || pthread_mutex_init(&queue->mutex, NULL) != 0 || !sf_condition_init(&queue->arrived)) {
    free(queue);
    close(ends[0]);
    close(ends[1]);
    return sf_fail_memory(error, "completion queue");
  }
  atomic_init(&queue->references, 1);
  queue->process = sf_process_id();
  queue->ring.next = queue->ring.previous = &queue->ring;
  queue->read_end = ends[0];
  queue->write_end = ends[1];
  set_flags(queue->read_end);
  set_flags(queue->write_end);
  *created = queue;
  return SF_OK;
}

int sf_completion_queue_fd(const sf_completion_queue *queue) {
  return queue->read_end;
}

sf_code sf_completion_queue_check(const sf_completion_queue *queue, sf_error *error) {
  return sf_process_check(queue->process, "the completion queue", error);
}

void sf_completion_queue_retain(sf_completion_queue *queue) {
  atomic_fetch_add_explicit(&queue->references, 1, memory_order_relaxed);
}

void sf_completion_queue_release(sf_completion_queue *queue) {
  if (atomic_fetch_sub_explicit(&queue->references, 1, memory_order_acq_rel) != 1)
    return;
  close(queue->read_end);
  close(queue->write_end);
  pthread_cond_destroy(&queue->arrived);
  pthread_mutex_destroy(&queue->mutex);
  free(queue);
}

static void unlink_locked(sf_completion_queue *queue, sf_queue_link *link) {
  SF_ASSERT_LOCKED(&queue->mutex);
  SF_ASSERT(link->queued);
  link->previous->next = link->next;
  link->next->previous = link->previous;
  link->queued = false;
}

/* Reads the byte of an empty queue. Where it is only about to be written, the queue stays signalled, and the next call reads
 * it. */
static void clear_signal_locked(sf_completion_queue *queue) {
  SF_ASSERT_LOCKED(&queue->mutex);
  char byte;
  ssize_t count = 0;
  if (!queue->signalled)
    return;
  while ((count = read(queue->read_end, &byte, 1)) < 0 && errno == EINTR)
    ;
  queue->signalled = count != 1;
}

bool sf_completion_queue_push(sf_completion_queue *queue, sf_queue_link *link) {
  pthread_mutex_lock(&queue->mutex);
  bool wakes = !queue->freed && !queue->signalled;
  if (!queue->freed) {
    link->queued = true;
    link->next = &queue->ring;
    link->previous = queue->ring.previous;
    link->previous->next = link;
    queue->ring.previous = link;
    queue->signalled = true;
    pthread_cond_signal(&queue->arrived);
  }
  pthread_mutex_unlock(&queue->mutex);
  return wakes;
}

/* The pipe holds one byte at most: the write can't block, nor fail because it is full. */
void sf_completion_queue_wake(sf_completion_queue *queue) {
  while (write(queue->write_end, "", 1) < 0 && errno == EINTR)
    ;
}

void sf_completion_queue_remove(sf_completion_queue *queue, sf_queue_link *link) {
  pthread_mutex_lock(&queue->mutex);
  if (link->queued)
    unlink_locked(queue, link);
  pthread_mutex_unlock(&queue->mutex);
}

static sf_operation *pop_locked(sf_completion_queue *queue) {
  SF_ASSERT_LOCKED(&queue->mutex);
  sf_queue_link *first = queue->ring.next;
  if (first == &queue->ring) {
    clear_signal_locked(queue);
    return NULL;
  }
  unlink_locked(queue, first);
  return first->operation;
}

sf_operation *sf_completion_queue_pop(sf_completion_queue *queue) {
  if (sf_completion_queue_check(queue, NULL) != SF_OK)
    return NULL;
  pthread_mutex_lock(&queue->mutex);
  sf_operation *operation = pop_locked(queue);
  pthread_mutex_unlock(&queue->mutex);
  return operation;
}

sf_operation *sf_completion_queue_wait(sf_completion_queue *queue, int64_t timeout_ms) {
  if (sf_completion_queue_check(queue, NULL) != SF_OK)
    return NULL;
  struct timespec deadline = sf_deadline_after(timeout_ms > 0 ? timeout_ms : 0);
  pthread_mutex_lock(&queue->mutex);
  while (queue->ring.next == &queue->ring)
    if (!sf_condition_wait(&queue->arrived, &queue->mutex, timeout_ms < 0 ? NULL : &deadline))
      break;
  sf_operation *operation = pop_locked(queue);
  pthread_mutex_unlock(&queue->mutex);
  return operation;
}

void sf_completion_queue_free(sf_completion_queue *queue) {
  if (queue == NULL)
    return;
  if (sf_completion_queue_check(queue, NULL) != SF_OK) {
    /* A fork's child closes its descriptors; the memory stays as it is. */
    close(queue->read_end);
    close(queue->write_end);
    return;
  }
  pthread_mutex_lock(&queue->mutex);
  queue->freed = true;
  while (queue->ring.next != &queue->ring)
    unlink_locked(queue, queue->ring.next);
  pthread_mutex_unlock(&queue->mutex);
  sf_completion_queue_release(queue);
}
