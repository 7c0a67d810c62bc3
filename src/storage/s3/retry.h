/* What an answer means for the next step, and how long to wait before it. Pure functions. */
#ifndef SF_STORAGE_S3_RETRY_H
#define SF_STORAGE_S3_RETRY_H

#include "storage/s3/http.h"

#define SF_S3_RETRY_BASE_MS 200
#define SF_S3_RETRY_CAP_MS 4000
#define SF_S3_RETRY_BUDGET_MS 30000
#define SF_S3_DEFAULT_MAX_ATTEMPTS 6

typedef enum sf_s3_verdict {
  SF_S3_SUCCESS,
  SF_S3_NOT_FOUND,    /* the object does not exist */
  SF_S3_TRANSIENT,    /* throttled, broken, lost: the same request may succeed later */
  SF_S3_EXPIRED,      /* the credentials are past their time: renew them */
  SF_S3_SKEWED,       /* our clock is off: sign by the server's */
  SF_S3_REDIRECTED,   /* the bucket lives in another region or at another endpoint */
  SF_S3_PRECONDITION, /* If-Match or If-None-Match did not hold */
  SF_S3_OUT_OF_RANGE, /* the object ends before the range begins */
  SF_S3_REFUSED,      /* denied, misused, or not there to be asked */
} sf_s3_verdict;

/* `code` is the <Code> of the error's document, "" where there is none. */
sf_s3_verdict sf_s3_judge(sf_http_result result, int status, const char *code);

/* The delay before retry number `retry` (the first is 0): a random part (`random` in [0, 1)) of 200 ms doubled for each
 * retry up to 4 s, which is "full jitter" of https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/,
 * and never less than the server asked for. */
uint64_t sf_s3_retry_delay_ms(uint32_t retry, double random, uint64_t retry_after_ms);

/* A Retry-After header (RFC 9110, section 10.2.3), seconds or a date, as milliseconds from `now` (seconds since 1970); 0
 * for what can't be read, and never more than the whole budget and a second: then it is not awaited. */
uint64_t sf_s3_retry_after_ms(const char *value, double now);

/* An HTTP date (RFC 9110, section 5.6.7) in seconds since 1970. False when it is none. */
bool sf_s3_parse_http_date(const char *text, int64_t *seconds);

/* A random number in [0, 1). */
double sf_s3_random(void);

#endif
