#include "storage/s3/retry.h"

#include <curl/curl.h>
#include <openssl/rand.h>
#include <string.h>

/* Codes that say more than their status. */
static const struct {
  const char *code;
  sf_s3_verdict verdict;
} verdicts_of_codes[] = {
    {"NoSuchKey", SF_S3_NOT_FOUND},
    {"NoSuchVersion", SF_S3_NOT_FOUND},
    {"NoSuchBucket", SF_S3_REFUSED},
    {"ExpiredToken", SF_S3_EXPIRED}, /* comes with status 400 */
    {"ExpiredTokenException", SF_S3_EXPIRED},
    {"TokenRefreshRequired", SF_S3_EXPIRED},
    {"RequestTimeTooSkewed", SF_S3_SKEWED},
    {"PermanentRedirect", SF_S3_REDIRECTED},
    {"TemporaryRedirect", SF_S3_REDIRECTED},
    {"AuthorizationHeaderMalformed", SF_S3_REDIRECTED},
    {"IllegalLocationConstraintException", SF_S3_REDIRECTED},
    {"PreconditionFailed", SF_S3_PRECONDITION},
    {"InvalidRange", SF_S3_OUT_OF_RANGE},
    {"NotImplemented", SF_S3_REFUSED},
    {"SlowDown", SF_S3_TRANSIENT},
    {"InternalError", SF_S3_TRANSIENT},
    {"ServiceUnavailable", SF_S3_TRANSIENT},
    {"RequestTimeout", SF_S3_TRANSIENT}, /* comes with status 400 */
    {"RequestTimeoutException", SF_S3_TRANSIENT},
    {"PriorRequestNotComplete", SF_S3_TRANSIENT},
    {"BandwidthLimitExceeded", SF_S3_TRANSIENT},
    {"OperationAborted", SF_S3_TRANSIENT},
    {"ConditionalRequestConflict", SF_S3_TRANSIENT},
    {"Throttling", SF_S3_TRANSIENT},
    {"ThrottlingException", SF_S3_TRANSIENT},
    {"ThrottledException", SF_S3_TRANSIENT},
    {"RequestThrottled", SF_S3_TRANSIENT},
    {"RequestThrottledException", SF_S3_TRANSIENT},
    {"RequestLimitExceeded", SF_S3_TRANSIENT},
    {"TooManyRequestsException", SF_S3_TRANSIENT},
    {"IDPCommunicationError", SF_S3_TRANSIENT},
};

static sf_s3_verdict judge_status(int status) {
  if (status >= 200 && status < 300)
    return SF_S3_SUCCESS;
  switch (status) {
  case 301:
  case 302:
  case 307:
  case 308:
    return SF_S3_REDIRECTED;
  case 404:
    return SF_S3_NOT_FOUND;
  case 304:
  case 412:
    return SF_S3_PRECONDITION;
  case 416:
    return SF_S3_OUT_OF_RANGE;
  case 408:
  case 425:
  case 429:
    return SF_S3_TRANSIENT;
  case 501:
  case 505:
    return SF_S3_REFUSED;
  default:
    return status >= 500 ? SF_S3_TRANSIENT : SF_S3_REFUSED;
  }
}

sf_s3_verdict sf_s3_judge(sf_http_result result, int status, const char *code) {
  if (result == SF_HTTP_CONNECTION || result == SF_HTTP_TIMEOUT)
    return SF_S3_TRANSIENT;
  if (result != SF_HTTP_COMPLETE)
    return SF_S3_REFUSED;
  if (status < 300)
    return judge_status(status);
  for (size_t i = 0; i < sizeof(verdicts_of_codes) / sizeof(verdicts_of_codes[0]); i++)
    if (strcmp(verdicts_of_codes[i].code, code) == 0)
      return verdicts_of_codes[i].verdict;
  return judge_status(status);
}

uint64_t sf_s3_retry_delay_ms(uint32_t retry, double random, uint64_t retry_after_ms) {
  uint64_t ceiling = retry < 16 ? (uint64_t)SF_S3_RETRY_BASE_MS << retry : SF_S3_RETRY_CAP_MS;
  if (ceiling > SF_S3_RETRY_CAP_MS)
    ceiling = SF_S3_RETRY_CAP_MS;
  uint64_t delay = (uint64_t)((double)ceiling * random);
  return delay > retry_after_ms ? delay : retry_after_ms;
}

bool sf_s3_parse_http_date(const char *text, int64_t *seconds) {
  /* libcurl reads all three forms, and much else; a date has at least this. */
  if (strlen(text) < 24 || strlen(text) > 64)
    return false;
  time_t time = curl_getdate(text, NULL);
  if (time == (time_t)-1)
    return false;
  *seconds = (int64_t)time;
  return true;
}

uint64_t sf_s3_retry_after_ms(const char *value, double now) {
  const double longest = SF_S3_RETRY_BUDGET_MS + 1000;
  double wait;
  size_t digits = strspn(value, "0123456789");
  if (digits > 0 && value[digits] == '\0') {
    wait = digits > 9 ? longest : strtod(value, NULL) * 1000;
  } else {
    int64_t date;
    if (!sf_s3_parse_http_date(value, &date))
      return 0;
    wait = ((double)date - now) * 1000;
  }
  return wait <= 0 ? 0 : (uint64_t)(wait < longest ? wait : longest);
}

double sf_s3_random(void) {
  uint32_t bits = 0;
  if (RAND_bytes((unsigned char *)&bits, sizeof(bits)) != 1)
    return 0.5;
  return (double)bits / 4294967296.0;
}
