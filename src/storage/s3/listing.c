#include "storage/s3/listing.h"

#include "storage/s3/call.h"
#include "storage/s3/responses.h"

#include <errno.h>
#include <string.h>

typedef struct listing {
  sf_s3_client *client;
  const char *prefix; /* in the bucket, with the slash */
  const char *after;
  char *start_after; /* `after` in the bucket; NULL: from the beginning */
  const sf_cancellation *cancellation;
  sf_storage_list_callback callback;
  void *user_data;
  unsigned num_pages;
  size_t num_names;
  size_t num_bytes;
  bool goes_on;
} listing;

static int compare_keys(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ------------------------------------------------------------------------------------------------------------- A page */

static sf_code check_bounds(const listing *list, sf_error *error) {
  if (list->num_names > SF_S3_MAX_LISTED_NAMES)
    return sf_fail(error, SF_ERROR, "LIST s3://%s/%s: expected at most %zu names, found more", list->client->bucket,
                   list->prefix, SF_S3_MAX_LISTED_NAMES);
  if (list->num_bytes > SF_S3_MAX_LISTED_BYTES)
    return sf_fail(error, SF_ERROR, "LIST s3://%s/%s: expected names of at most %zu MiB in all, found more",
                   list->client->bucket, list->prefix, SF_S3_MAX_LISTED_BYTES >> 20);
  return SF_OK;
}

/* Objects and folders come apart, each in order; pages follow one another in order. */
static sf_code deliver(listing *list, sf_s3_list_page *page, sf_error *error) {
  size_t prefix_length = strlen(list->prefix);
  if (page->num_keys > 0)
    qsort(page->keys, page->num_keys, sizeof(*page->keys), compare_keys);
  for (size_t i = 0; i < page->num_keys && list->goes_on; i++) {
    const char *key = page->keys[i];
    list->num_names++;
    list->num_bytes += strlen(key);
    SF_TRY(check_bounds(list, error));
    /* The folder itself can be an object: of no name. A store may not know start-after. */
    if (strncmp(key, list->prefix, prefix_length) == 0 && key[prefix_length] != '\0' &&
        strcmp(key + prefix_length, list->after) > 0)
      list->goes_on = list->callback(key + prefix_length, list->user_data);
  }
  return SF_OK;
}

static sf_code fetch_page(listing *list, const char *token, sf_s3_list_page *page, sf_error *error) {
  sf_sigv4_pair parameters[6] = {
      {"list-type", "2"}, {"delimiter", "/"}, {"encoding-type", "url"}, {"prefix", list->prefix}};
  size_t num_parameters = 4;
  if (list->num_pages++ == SF_S3_MAX_LIST_PAGES)
    return sf_fail(error, SF_ERROR, "LIST s3://%s/%s: expected at most %d pages, found more", list->client->bucket,
                   list->prefix, SF_S3_MAX_LIST_PAGES);
  if (list->start_after != NULL)
    parameters[num_parameters++] = (sf_sigv4_pair){"start-after", list->start_after};
  if (token != NULL)
    parameters[num_parameters++] = (sf_sigv4_pair){"continuation-token", token};
  const sf_s3_request request = {.method = "GET",
                                 .parameters = parameters,
                                 .num_parameters = num_parameters,
                                 .max_body = SF_S3_MAX_LIST_PAGE_BYTES,
                                 .may_hedge = true};
  sf_s3_call call;
  sf_code code = sf_s3_call_run(&call, list->client, &request, list->cancellation, error);
  if (code == SF_OK && !sf_s3_parse_list_page(call.body.data, call.body.length, page))
    code = sf_fail(error, sf_errno_code(errno, SF_ERROR), "LIST s3://%s/%s: expected a listing, found another document",
                   list->client->bucket, list->prefix);
  sf_s3_call_clear(&call);
  return code;
}

/* -------------------------------------------------------------------------------------------------------------- Pages */

/* Moves on to the page's continuation. A store that repeats a token would make the loop endless. */
static sf_code next_token(const listing *list, sf_s3_list_page *page, char **token, sf_error *error) {
  char *next = page->is_truncated ? page->continuation_token : NULL;
  if (page->is_truncated && (next == NULL || (*token != NULL && strcmp(next, *token) == 0)))
    return sf_fail(error, SF_ERROR, "LIST s3://%s/%s: a listing that does not say how it goes on", list->client->bucket,
                   list->prefix);
  free(*token);
  *token = next;
  if (next != NULL)
    page->continuation_token = NULL;
  return SF_OK;
}

static sf_code list_pages(listing *list, sf_error *error) {
  char *token = NULL;
  sf_code code;
  do {
    sf_s3_list_page page = {0};
    code = fetch_page(list, token, &page, error);
    if (code == SF_OK)
      code = deliver(list, &page, error);
    if (code == SF_OK)
      code = next_token(list, &page, &token, error);
    sf_s3_list_page_clear(&page);
  } while (code == SF_OK && list->goes_on && token != NULL);
  free(token);
  return code;
}

sf_code sf_s3_list(sf_s3_client *client, const char *prefix, const char *after, const sf_cancellation *cancellation,
                   sf_storage_list_callback callback, void *user_data, sf_error *error) {
  listing list = {.client = client,
                  .prefix = prefix,
                  .after = after,
                  .cancellation = cancellation,
                  .callback = callback,
                  .user_data = user_data,
                  .goes_on = true};
  if (after[0] != '\0' && (list.start_after = sf_format("%s%s", prefix, after)) == NULL)
    return sf_fail_memory(error, "S3 prefix");
  sf_code code = list_pages(&list, error);
  free(list.start_after);
  return code;
}
