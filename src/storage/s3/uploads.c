#include "storage/s3/uploads.h"

#include "storage/s3/call.h"
#include "storage/s3/listing.h"
#include "storage/s3/responses.h"

#include <errno.h>
#include <string.h>

#define MAX_ANSWER ((size_t)64 << 10)

typedef struct looking {
  sf_s3_client *client;
  const char *prefix;
  const sf_cancellation *cancellation;
  char *key_marker; /* the last of the page before; NULL: there was none */
  char *id_marker;
} looking;

static sf_code fetch_page(const looking *look, sf_s3_uploads_page *page, sf_error *error) {
  const sf_sigv4_pair parameters[] = {
      {"uploads", ""},
      {"encoding-type", "url"},
      {"prefix", look->prefix},
      {"key-marker", look->key_marker},
      {"upload-id-marker", look->id_marker},
  };
  const sf_s3_request request = {.method = "GET",
                                 .parameters = parameters,
                                 .num_parameters = look->key_marker != NULL ? 5 : 3,
                                 .max_body = SF_S3_MAX_LIST_PAGE_BYTES};
  sf_s3_call call;
  sf_code code = sf_s3_call_run(&call, look->client, &request, look->cancellation, error);
  if (code == SF_OK && !sf_s3_parse_uploads_page(call.body.data, call.body.length, page))
    code = sf_fail(error, sf_errno_code(errno, SF_ERROR),
                   "s3://%s/%s: expected a listing of uploads, found another document", look->client->bucket,
                   look->prefix);
  sf_s3_call_clear(&call);
  return code;
}

/* One that has ended meanwhile is no failure. */
static sf_code abort_upload(const looking *look, const sf_s3_unfinished_upload *upload, sf_error *error) {
  const sf_sigv4_pair parameters[] = {{"uploadId", upload->id}};
  const sf_s3_request request = {
      .method = "DELETE", .key = upload->key, .parameters = parameters, .num_parameters = 1, .max_body = MAX_ANSWER};
  sf_s3_call call;
  sf_code code = sf_s3_call_run(&call, look->client, &request, look->cancellation, error);
  sf_s3_call_clear(&call);
  return code;
}

/* Stores that know no prefixes here list all that the bucket has. */
static sf_code take_page(const looking *look, const sf_s3_uploads_page *page, bool abort, uint64_t *count,
                         sf_error *error) {
  for (size_t i = 0; i < page->num_uploads; i++) {
    if (strncmp(page->uploads[i].key, look->prefix, strlen(look->prefix)) != 0)
      continue;
    (*count)++;
    sf_cancellation_progress(look->cancellation);
    if (abort)
      SF_TRY(abort_upload(look, &page->uploads[i], error));
  }
  return SF_OK;
}

/* Moves on to the next page, if there is one. A store that repeats a token would make the loop endless. */
static sf_code go_on(looking *look, sf_s3_uploads_page *page, bool *goes_on, sf_error *error) {
  *goes_on = page->is_truncated;
  if (!page->is_truncated)
    return SF_OK;
  bool is_new = page->next_key != NULL && page->next_id != NULL &&
                (look->key_marker == NULL || strcmp(page->next_key, look->key_marker) != 0 ||
                 strcmp(page->next_id, look->id_marker) != 0);
  if (!is_new)
    return sf_fail(error, SF_ERROR, "s3://%s/%s: a listing of uploads that does not say how it goes on",
                   look->client->bucket, look->prefix);
  free(look->key_marker);
  free(look->id_marker);
  look->key_marker = page->next_key;
  look->id_marker = page->next_id;
  page->next_key = page->next_id = NULL;
  return SF_OK;
}

sf_code sf_s3_unfinished_uploads(sf_s3_client *client, const char *prefix, bool abort,
                                 const sf_cancellation *cancellation, uint64_t *count, sf_error *error) {
  looking look = {.client = client, .prefix = prefix, .cancellation = cancellation};
  bool goes_on = true;
  sf_code code = SF_OK;
  *count = 0;
  for (unsigned num_pages = 0; code == SF_OK && goes_on; num_pages++) {
    sf_s3_uploads_page page = {0};
    code = num_pages < SF_S3_MAX_LIST_PAGES
               ? fetch_page(&look, &page, error)
               : sf_fail(error, SF_ERROR, "s3://%s/%s: expected at most %d pages of unfinished uploads, found more",
                         client->bucket, prefix, SF_S3_MAX_LIST_PAGES);
    if (code == SF_OK)
      code = take_page(&look, &page, abort, count, error);
    if (code == SF_OK)
      code = go_on(&look, &page, &goes_on, error);
    sf_s3_uploads_page_clear(&page);
  }
  free(look.key_marker);
  free(look.id_marker);
  return code;
}
