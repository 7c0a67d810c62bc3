/* A user's program, in what C and C++ have in common: it has to compile without a warning in every version of both. */
#include <shardyfusion.h>

#include <stdio.h>

static void print_log(sf_log_level level, const char *message, void *user_data) {
  fprintf(user_data == NULL ? stderr : stdout, "%s\n", level == SF_LOG_ERROR ? message : "");
}

int main(void) {
  sf_error error;
  sf_reader *reader = NULL;
  sf_search_response *response = NULL;
  const float query[] = {0.5f, -0.25f};
  sf_s3_options s3 = SF_S3_OPTIONS_INIT;
  sf_manifest_source manifest = SF_MANIFEST_SOURCE_INIT;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  sf_search_request request = SF_SEARCH_REQUEST_INIT;
  sf_fetch_request fetched = SF_FETCH_REQUEST_INIT;
  sf_count_request counted = SF_COUNT_REQUEST_INIT;
  sf_build_options build = SF_BUILD_OPTIONS_INIT;
  sf_row_batch batch = SF_ROW_BATCH_INIT;
  sf_cleanup_options cleanup = SF_CLEANUP_OPTIONS_INIT;
  options.s3 = &s3;
  options.log = print_log;
  request.query = query;
  request.dim = 2;
  printf("%s: %s\n", sf_version(), sf_code_name(SF_POOL_EXHAUSTED_ERROR));
  if (options.size != sizeof(options) || options.max_fallback_attempts != -1 || options.num_workers != 0 ||
      request.size != sizeof(request) || request.top_k != 10 || request.query_type != SF_FLOAT32 ||
      request.filter != NULL || request.explain || fetched.size != sizeof(fetched) || fetched.num_ids != 0 ||
      counted.size != sizeof(counted) || counted.filter != NULL || manifest.size != sizeof(manifest) ||
      manifest.bytes != NULL || build.size != sizeof(build) || batch.size != sizeof(batch) || batch.count != 0 ||
      cleanup.size != sizeof(cleanup) || cleanup.min_age_seconds != 86400 || s3.size != sizeof(s3) ||
      s3.max_attempts != 0)
    return 1;
  sf_code code = sf_reader_open("/nowhere/at/all", &options, &reader, &error);
  if (code == SF_OK) {
    code = sf_reader_search(reader, &request, &response, &error);
    sf_search_response_free(response);
    sf_reader_free(reader);
  }
  return code == SF_READER_STATE_ERROR ? 0 : 1;
}
