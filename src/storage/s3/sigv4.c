#include "storage/s3/sigv4.h"

#include "storage/s3/uri.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <time.h>

#define DIGEST_SIZE 32

static void to_hex(const uint8_t digest[DIGEST_SIZE], char hex[SF_SHA256_HEX_SIZE]) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < DIGEST_SIZE; i++) {
    hex[2 * i] = digits[digest[i] >> 4];
    hex[2 * i + 1] = digits[digest[i] & 15];
  }
  hex[2 * DIGEST_SIZE] = '\0';
}

bool sf_sha256_hex(const void *bytes, size_t length, char hex[SF_SHA256_HEX_SIZE]) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  if (EVP_Digest(bytes, length, digest, NULL, EVP_sha256(), NULL) != 1)
    return false;
  to_hex(digest, hex);
  return true;
}

void sf_sigv4_timestamp(int64_t seconds, char timestamp[SF_SIGV4_TIMESTAMP_SIZE]) {
  time_t time = (time_t)seconds;
  struct tm utc;
  if (gmtime_r(&time, &utc) == NULL || strftime(timestamp, SF_SIGV4_TIMESTAMP_SIZE, "%Y%m%dT%H%M%SZ", &utc) == 0)
    memcpy(timestamp, "19700101T000000Z", SF_SIGV4_TIMESTAMP_SIZE);
}

static int compare_text(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "name=value", encoded. '=' sorts above every unreserved character but '~' and letters, so that pairs are compared
 * with the separator replaced by \1: a name then sorts before its own continuations. */
static char *encoded_pair(const sf_sigv4_pair *parameter) {
  sf_buffer pair = {0};
  bool built = sf_s3_uri_encode(&pair, parameter->name, strlen(parameter->name), false) &&
               sf_buffer_append(&pair, "\1", 1) &&
               sf_s3_uri_encode(&pair, parameter->value, strlen(parameter->value), false);
  if (!built)
    sf_buffer_free(&pair);
  return (char *)pair.data;
}

bool sf_sigv4_query(const sf_sigv4_pair *parameters, size_t count, sf_buffer *query) {
  char **pairs = sf_calloc(count, sizeof(*pairs));
  if (pairs == NULL)
    return false;
  bool built = true;
  for (size_t i = 0; i < count && built; i++)
    built = (pairs[i] = encoded_pair(&parameters[i])) != NULL;
  if (built)
    qsort(pairs, count, sizeof(*pairs), compare_text);
  for (size_t i = 0; i < count && built; i++) {
    *strchr(pairs[i], '\1') = '=';
    built = (i == 0 || sf_buffer_append_text(query, "&")) && sf_buffer_append_text(query, pairs[i]);
  }
  for (size_t i = 0; i < count; i++)
    free(pairs[i]);
  free(pairs);
  return built;
}

static bool append_signed_headers(const sf_sigv4_request *request, sf_buffer *text) {
  bool appended = true;
  for (size_t i = 0; i < request->num_headers; i++)
    appended = appended && sf_buffer_append_format(text, "%s%s", i > 0 ? ";" : "", request->headers[i].name);
  return appended;
}

bool sf_sigv4_canonical_request(const sf_sigv4_request *request, sf_buffer *canonical) {
  bool appended = sf_buffer_append_format(canonical, "%s\n%s\n%s\n", request->method, request->path, request->query);
  for (size_t i = 0; i < request->num_headers; i++)
    appended =
        appended && sf_buffer_append_format(canonical, "%s:%s\n", request->headers[i].name, request->headers[i].value);
  appended = appended && sf_buffer_append_text(canonical, "\n") && append_signed_headers(request, canonical);
  return appended && sf_buffer_append_format(canonical, "\n%s", request->payload_hash);
}

static bool append_scope(const sf_sigv4_request *request, sf_buffer *text) {
  return sf_buffer_append_format(text, "%.8s/%s/%s/aws4_request", request->timestamp, request->region,
                                 request->service);
}

bool sf_sigv4_string_to_sign(const sf_sigv4_request *request, const sf_buffer *canonical, sf_buffer *string_to_sign) {
  char hash[SF_SHA256_HEX_SIZE];
  return sf_sha256_hex(canonical->data, canonical->length, hash) &&
         sf_buffer_append_format(string_to_sign, "AWS4-HMAC-SHA256\n%s\n", request->timestamp) &&
         append_scope(request, string_to_sign) && sf_buffer_append_format(string_to_sign, "\n%s", hash);
}

static bool hmac(const void *key, size_t key_length, const void *text, size_t text_length,
                 uint8_t digest[DIGEST_SIZE]) {
  unsigned int length = DIGEST_SIZE;
  return HMAC(EVP_sha256(), key, (int)key_length, text, text_length, digest, &length) != NULL;
}

/* kSigning = HMAC(HMAC(HMAC(HMAC("AWS4" + secret, date), region), service), "aws4_request") */
static bool signing_key(const sf_sigv4_request *request, const char *secret_access_key, uint8_t key[DIGEST_SIZE]) {
  char *secret = sf_format("AWS4%s", secret_access_key);
  if (secret == NULL)
    return false;
  bool derived = hmac(secret, strlen(secret), request->timestamp, 8, key) &&
                 hmac(key, DIGEST_SIZE, request->region, strlen(request->region), key) &&
                 hmac(key, DIGEST_SIZE, request->service, strlen(request->service), key) &&
                 hmac(key, DIGEST_SIZE, "aws4_request", 12, key);
  OPENSSL_cleanse(secret, strlen(secret));
  free(secret);
  return derived;
}

bool sf_sigv4_authorization(const sf_sigv4_request *request, const char *access_key_id, const char *secret_access_key,
                            sf_buffer *authorization) {
  sf_buffer canonical = {0};
  sf_buffer string_to_sign = {0};
  uint8_t key[DIGEST_SIZE];
  char signature[SF_SHA256_HEX_SIZE];
  bool made = sf_sigv4_canonical_request(request, &canonical) &&
              sf_sigv4_string_to_sign(request, &canonical, &string_to_sign) &&
              signing_key(request, secret_access_key, key) &&
              hmac(key, DIGEST_SIZE, string_to_sign.data, string_to_sign.length, key);
  if (made)
    to_hex(key, signature);
  OPENSSL_cleanse(key, sizeof(key));
  made = made && sf_buffer_append_format(authorization, "AWS4-HMAC-SHA256 Credential=%s/", access_key_id) &&
         append_scope(request, authorization) && sf_buffer_append_text(authorization, ", SignedHeaders=") &&
         append_signed_headers(request, authorization) &&
         sf_buffer_append_format(authorization, ", Signature=%s", signature);
  sf_buffer_free(&canonical);
  sf_buffer_free(&string_to_sign);
  return made;
}
