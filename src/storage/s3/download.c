#include "storage/s3/download.h"

#include "storage/local_copy.h"
#include "storage/s3/fetch.h"

#include <string.h>

/* A corrupted download is fetched again this often. */
#define MAX_DOWNLOADS 3

typedef struct download {
  sf_s3_fetch fetch; /* first: the fetch is the download */
  sf_local_copy copy;
  sf_checksum *checksum; /* as the store keeps it; made when the first bytes are in order */
  const char *url;
  const sf_s3_download_listener *listener;
} download;

static bool write_bytes(sf_s3_fetch *fetch, uint64_t offset, const uint8_t *bytes, size_t length, sf_error *error) {
  return sf_local_copy_write(&((download *)fetch)->copy, offset, bytes, length, error) == SF_OK;
}

static void add_to_checksum(const uint8_t *bytes, size_t length, void *user_data) {
  sf_checksum_update(user_data, bytes, length);
}

static sf_code hash_bytes(sf_s3_fetch *fetch, uint64_t length, const sf_cancellation *cancellation, sf_error *error) {
  download *made = (download *)fetch;
  if (length == 0) {
    sf_checksum_free(made->checksum);
    made->checksum = NULL;
  } else if (made->checksum == NULL) {
    made->checksum = sf_checksum_create(fetch->checksum.algorithm);
    if (made->checksum == NULL)
      return sf_fail_memory(error, "checksum");
  }
  if (length > 0)
    SF_TRY(sf_local_copy_expect(&made->copy, fetch->size, error));
  return sf_local_copy_hash(&made->copy, length, add_to_checksum, made->checksum, cancellation, error);
}

static void report_progress(sf_s3_fetch *fetch, uint64_t bytes) {
  const download *made = (const download *)fetch;
  if (made->listener->report != NULL)
    made->listener->report(made->url, bytes, fetch->size, made->listener->user_data);
}

static bool checksum_holds(const download *made) {
  char value[64];
  const sf_expected_checksum *expected = &made->fetch.checksum;
  if (expected->algorithm == SF_CHECKSUM_NONE)
    return true;
  if (made->checksum == NULL)
    return sf_expected_checksum_holds(expected, "", 0);
  return sf_checksum_finish(made->checksum, value) && strcmp(value, expected->value) == 0;
}

/* One try. *holds is false when all bytes came, but not those that the store keeps the checksum of. */
static sf_code download_once(sf_s3_client *client, const char *key, const char *url, const char *path,
                             const sf_s3_download_listener *listener, const sf_cancellation *cancellation, bool *found,
                             bool *holds, sf_error *error) {
  download made = {
      .fetch =
          {.key = key, .length = UINT64_MAX, .write = write_bytes, .advance = hash_bytes, .arrived = report_progress},
      .url = url,
      .listener = listener,
  };
  *holds = true;
  SF_TRY(sf_local_copy_begin(&made.copy, path, error));
  sf_code code = sf_s3_fetch_run(client, &made.fetch, cancellation, error);
  *found = code == SF_OK && made.fetch.found;
  if (*found)
    *holds = checksum_holds(&made);
  if (*found && *holds)
    code = sf_local_copy_publish(&made.copy, url, error);
  sf_checksum_free(made.checksum);
  sf_local_copy_end(&made.copy);
  return code;
}

static sf_code download_with_lock(sf_s3_client *client, const char *key, const char *url, const char *path,
                                  const sf_s3_download_listener *listener, const sf_cancellation *cancellation,
                                  bool *found, sf_error *error) {
  bool holds = false;
  SF_TRY(sf_local_copy_check(path, url, cancellation, &holds, error));
  *found = holds;
  for (unsigned i = 0; i < MAX_DOWNLOADS && !holds; i++)
    SF_TRY(download_once(client, key, url, path, listener, cancellation, found, &holds, error));
  if (!holds)
    return sf_fail(error, SF_S3_TRANSIENT_ERROR,
                   "%s: downloaded %d times, and never with the checksum that the store "
                   "keeps",
                   url, MAX_DOWNLOADS);
  return SF_OK;
}

sf_code sf_s3_download(sf_s3_client *client, const char *key, const char *path, const sf_s3_download_listener *listener,
                       const sf_cancellation *cancellation, bool *found, sf_error *error) {
  int lock = -1;
  *found = false;
  SF_TRY(sf_http_client_check_process(client->http, error));
  char *url = sf_format("s3://%s/%s", client->bucket, key);
  if (url == NULL)
    return sf_fail_memory(error, "S3 URL");
  /* A copy that is there needs no lock, which can't be made where the cache is only read. */
  sf_code code = sf_local_copy_check(path, url, cancellation, found, error);
  if (code == SF_OK && !*found)
    code = sf_local_copy_lock(path, cancellation, &lock, error);
  if (code == SF_OK && !*found) {
    code = download_with_lock(client, key, url, path, listener, cancellation, found, error);
    sf_local_copy_unlock(lock);
  }
  free(url);
  return code;
}
