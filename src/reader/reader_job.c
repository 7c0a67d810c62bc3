#include "reader/reader_job.h"

void sf_reader_job_free(void *context) {
  sf_reader_job *job = context;
  sf_reader *reader = job->reader;
  free(job->manifest);
  free(job);
  pthread_mutex_lock(&reader->mutex);
  reader->num_jobs--;
  pthread_cond_broadcast(&reader->changed);
  pthread_mutex_unlock(&reader->mutex);
}

sf_code sf_reader_job_submit(sf_reader_job job, const sf_job_functions *functions, sf_completion_queue *queue,
                             void *user_data, sf_operation **operation, sf_error *error) {
  sf_reader *reader = job.reader;
  sf_code code = sf_reader_check_process(reader, error);
  sf_reader_job *context = code == SF_OK ? sf_calloc(1, sizeof(*context)) : NULL;
  if (context == NULL) {
    free(job.manifest);
    return code != SF_OK ? code : sf_fail_memory(error, "operation");
  }
  *context = job;
  pthread_mutex_lock(&reader->mutex);
  reader->num_jobs++;
  /* NULL when the reader is closed: the job gets an executor of its own, and fails or does nothing. */
  sf_executor *executor = reader->executor;
  if (executor != NULL)
    sf_executor_retain(executor);
  pthread_mutex_unlock(&reader->mutex);
  code = sf_job_submit(executor, queue, user_data, functions, context, operation, error);
  sf_executor_release(executor);
  return code;
}
