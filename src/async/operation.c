#include "async/operation.h"

#include "async/completion_queue.h"
#include "base/assert.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/thread.h"
#include "base/time.h"

#include <errno.h>

struct sf_operation {
  atomic_uint references;
  long process;
  sf_cancellation cancellation;
  void *user_data;
  sf_completion_queue *queue; /* NULL: none */
  sf_queue_link link;
  /* Guards all below. Taken before the queue's mutex, never after. */
  pthread_mutex_t mutex;
  pthread_cond_t finished;
  bool is_done;
  bool is_released;              /* by the submitter: it will not be queued */
  void (*cancel)(void *context); /* NULL: none, or it was called */
  void (*release_context)(void *context);
  void *cancel_context;
  sf_code code;
  sf_error error;
  sf_outcome outcome;
};

sf_code sf_operation_create(sf_completion_queue *queue, void *user_data, sf_operation **created, sf_error *error) {
  if (queue != NULL)
    SF_TRY(sf_completion_queue_check(queue, error));
  sf_operation *operation = sf_calloc(1, sizeof(*operation));
  if (operation == NULL || pthread_mutex_init(&operation->mutex, NULL) != 0 ||
      !sf_condition_init(&operation->finished)) {
    free(operation);
    return sf_fail_memory(error, "operation");
  }
  atomic_init(&operation->references, 2);
  atomic_init(&operation->cancellation.requested, false);
  operation->process = sf_process_id();
  operation->user_data = user_data;
  operation->queue = queue;
  operation->link.operation = operation;
  if (queue != NULL)
    sf_completion_queue_retain(queue);
  *created = operation;
  return SF_OK;
}

/* In a fork's child no operation finishes, and the mutex may be held by a thread that does not exist there. */
static sf_code check_process(const sf_operation *operation, sf_error *error) {
  return sf_process_check(operation->process, "the operation", error);
}

/* False, without locking, in a fork's child. */
static bool try_lock(sf_operation *operation) {
  if (check_process(operation, NULL) != SF_OK)
    return false;
  pthread_mutex_lock(&operation->mutex);
  return true;
}

void sf_outcome_free_block(void *value, size_t count) {
  (void)count;
  free(value);
}

static void free_outcome(sf_outcome *outcome) {
  if (outcome->value != NULL)
    outcome->kind->free(outcome->value, outcome->count);
  *outcome = (sf_outcome){0};
}

static void release_reference(sf_operation *operation) {
  if (atomic_fetch_sub_explicit(&operation->references, 1, memory_order_acq_rel) != 1)
    return;
  free_outcome(&operation->outcome);
  if (operation->queue != NULL)
    sf_completion_queue_release(operation->queue);
  pthread_cond_destroy(&operation->finished);
  pthread_mutex_destroy(&operation->mutex);
  free(operation);
}

void sf_operation_complete(sf_operation *operation, sf_code code, const sf_error *error, const sf_outcome *outcome) {
  SF_ASSERT(outcome == NULL || outcome->value == NULL || outcome->kind->free != NULL);
  pthread_mutex_lock(&operation->mutex);
  SF_ASSERT(!operation->is_done);
  operation->code = code;
  if (error != NULL)
    operation->error = *error;
  if (outcome != NULL)
    operation->outcome = *outcome;
  operation->is_done = true;
  bool holds_context = operation->cancel != NULL;
  operation->cancel = NULL;
  pthread_cond_broadcast(&operation->finished);
  /* With the mutex held: a submitter that sees it done and releases it has to find it in the queue, to remove it. */
  bool wakes = operation->queue != NULL && !operation->is_released &&
               sf_completion_queue_push(operation->queue, &operation->link);
  pthread_mutex_unlock(&operation->mutex);
  if (wakes)
    sf_completion_queue_wake(operation->queue);
  if (holds_context)
    operation->release_context(operation->cancel_context);
  release_reference(operation);
}

void sf_operation_on_cancel(sf_operation *operation, void (*cancel)(void *context), void (*release)(void *context),
                            void *context) {
  operation->cancel = cancel;
  operation->release_context = release;
  operation->cancel_context = context;
}

const sf_cancellation *sf_operation_cancellation(const sf_operation *operation) {
  return &operation->cancellation;
}

void sf_operation_discard(sf_operation *operation) {
  release_reference(operation);
  release_reference(operation); // NOLINT(clang-analyzer-unix.Malloc): of two
}

bool sf_operation_is_done(const sf_operation *operation) {
  return sf_operation_wait((sf_operation *)(uintptr_t)operation, 0);
}

bool sf_operation_wait(sf_operation *operation, int64_t timeout_ms) {
  struct timespec deadline = sf_deadline_after(timeout_ms > 0 ? timeout_ms : 0);
  if (!try_lock(operation))
    return false;
  while (!operation->is_done && timeout_ms != 0)
    if (!sf_condition_wait(&operation->finished, &operation->mutex, timeout_ms < 0 ? NULL : &deadline))
      break;
  bool is_done = operation->is_done;
  pthread_mutex_unlock(&operation->mutex);
  return is_done;
}

void sf_operation_cancel(sf_operation *operation) {
  if (!try_lock(operation))
    return;
  void (*cancel)(void *) = operation->cancel;
  operation->cancel = NULL;
  if (!operation->is_done)
    sf_cancellation_request(&operation->cancellation);
  pthread_mutex_unlock(&operation->mutex);
  if (cancel == NULL)
    return;
  cancel(operation->cancel_context);
  operation->release_context(operation->cancel_context);
}

sf_code sf_operation_result(const sf_operation *operation, sf_error *error) {
  sf_operation *locked = (sf_operation *)(uintptr_t)operation;
  SF_TRY(check_process(operation, error));
  pthread_mutex_lock(&locked->mutex);
  sf_code code =
      locked->is_done ? locked->code : sf_fail(error, SF_READER_STATE_ERROR, "the operation has not finished");
  if (locked->is_done && error != NULL)
    *error = locked->error;
  pthread_mutex_unlock(&locked->mutex);
  return code;
}

void *sf_operation_user_data(const sf_operation *operation) {
  return operation->user_data;
}

void sf_operation_release(sf_operation *operation) {
  if (operation == NULL || check_process(operation, NULL) != SF_OK)
    return;
  sf_operation_cancel(operation);
  pthread_mutex_lock(&operation->mutex);
  operation->is_released = true;
  if (operation->queue != NULL)
    sf_completion_queue_remove(operation->queue, &operation->link);
  pthread_mutex_unlock(&operation->mutex);
  release_reference(operation);
}

void *sf_operation_take(sf_operation *operation, const sf_outcome_kind *kind, size_t *count) {
  void *value = NULL;
  size_t counted = 0;
  if (try_lock(operation)) {
    if (operation->outcome.kind == kind && operation->outcome.value != NULL) {
      value = operation->outcome.value;
      counted = operation->outcome.count;
      operation->outcome.value = NULL;
    }
    pthread_mutex_unlock(&operation->mutex);
  }
  if (count != NULL)
    *count = counted;
  return value;
}

size_t sf_operation_count(const sf_operation *operation, const sf_outcome_kind *kind) {
  sf_operation *locked = (sf_operation *)(uintptr_t)operation;
  if (!try_lock(locked))
    return 0;
  size_t count = locked->outcome.kind == kind ? locked->outcome.count : 0;
  pthread_mutex_unlock(&locked->mutex);
  return count;
}

typedef struct job {
  sf_task task; /* first: the executor passes it to run_job */
  sf_executor *executor;
  sf_operation *operation;
  const sf_job_functions *functions;
  void *context;
} job;

static void run_job(sf_task *task) {
  job *running = (job *)task;
  sf_outcome outcome = {0};
  sf_error error;
  sf_error_clear(&error);
  const sf_cancellation *cancellation = sf_operation_cancellation(running->operation);
  sf_code code = sf_cancellation_check(cancellation, &error);
  if (code == SF_OK)
    code = running->functions->run(running->context, cancellation, &outcome, &error);
  /* Before the operation is completed, and before the context ends the job of its reader: the last reference to an executor
   * should be released by the submitter, which can wait for its threads to end, and not by one of them. */
  sf_executor_release(running->executor);
  running->functions->free_context(running->context);
  sf_operation_complete(running->operation, code, &error, &outcome);
  free(running);
}

sf_code sf_job_submit(sf_executor *executor, sf_completion_queue *queue, void *user_data,
                      const sf_job_functions *functions, void *context, sf_operation **operation, sf_error *error) {
  job *submitted = sf_calloc(1, sizeof(*submitted));
  sf_operation *created = NULL;
  sf_code code = submitted == NULL ? sf_fail_memory(error, "operation") : SF_OK;
  if (code == SF_OK && executor == NULL)
    code = sf_executor_create(1, 1, &executor, error);
  else if (code == SF_OK && (code = sf_executor_check(executor, error)) == SF_OK)
    sf_executor_retain(executor);
  if (code != SF_OK) {
    free(submitted);
    functions->free_context(context);
    return code;
  }
  code = sf_operation_create(queue, user_data, &created, error);
  if (code == SF_OK) {
    *submitted = (job){
        .task.run = run_job, .executor = executor, .operation = created, .functions = functions, .context = context};
    *operation = created;
    if (sf_executor_submit(executor, SF_LANE_CONTROL, &submitted->task))
      return SF_OK;
    code = sf_fail_thread(error, errno, "for the operation");
    *operation = NULL;
    sf_operation_discard(created);
  }
  sf_executor_release(executor);
  functions->free_context(context);
  free(submitted);
  return code;
}
