#include "storage/s3/checksum.h"

#include "storage/s3/crc.h"

#include <openssl/evp.h>
#include <string.h>

#define MAX_DIGEST 32

/* In order of preference: what is cheap to compute first. Polynomials are reflected; all these CRCs begin and end with
 * all bits inverted. */
static const struct {
  sf_checksum_algorithm algorithm;
  const char *header;
  uint64_t polynomial;
  size_t size; /* bytes */
} algorithms[] = {
    {SF_CHECKSUM_CRC64NVME, "x-amz-checksum-crc64nvme", 0x9A6C9329AC4BC9B5u, 8},
    {SF_CHECKSUM_CRC32C, "x-amz-checksum-crc32c", 0x82F63B78u, 4},
    {SF_CHECKSUM_CRC32, "x-amz-checksum-crc32", 0xEDB88320u, 4},
    {SF_CHECKSUM_SHA256, "x-amz-checksum-sha256", 0, 32},
    {SF_CHECKSUM_SHA1, "x-amz-checksum-sha1", 0, 20},
};
#define NUM_ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

struct sf_checksum {
  size_t index; /* into algorithms; NUM_ALGORITHMS: none */
  EVP_MD_CTX *digest;
  sf_crc crc;
};

sf_expected_checksum sf_expected_checksum_of(const sf_http_response *response) {
  sf_expected_checksum expected = {.algorithm = SF_CHECKSUM_NONE};
  const char *type = sf_http_header(response, "x-amz-checksum-type");
  if (type != NULL && strcmp(type, "FULL_OBJECT") != 0)
    return expected;
  for (size_t i = 0; i < NUM_ALGORITHMS; i++) {
    const char *value = sf_http_header(response, algorithms[i].header);
    /* "…-3" is the checksum of three parts' checksums. */
    if (value == NULL || strlen(value) >= sizeof(expected.value) || strchr(value, '-') != NULL)
      continue;
    expected.algorithm = algorithms[i].algorithm;
    memcpy(expected.value, value, strlen(value) + 1);
    return expected;
  }
  return expected;
}

static bool start(sf_checksum *checksum, sf_checksum_algorithm algorithm) {
  while (checksum->index < NUM_ALGORITHMS && algorithms[checksum->index].algorithm != algorithm)
    checksum->index++;
  if (checksum->index == NUM_ALGORITHMS)
    return true;
  if (algorithms[checksum->index].polynomial != 0) {
    sf_crc_init(&checksum->crc, algorithms[checksum->index].polynomial, 8 * (unsigned)algorithms[checksum->index].size);
    return true;
  }
  checksum->digest = EVP_MD_CTX_new();
  return checksum->digest != NULL &&
         EVP_DigestInit_ex(checksum->digest, algorithm == SF_CHECKSUM_SHA256 ? EVP_sha256() : EVP_sha1(), NULL) == 1;
}

sf_checksum *sf_checksum_create(sf_checksum_algorithm algorithm) {
  sf_checksum *checksum = sf_calloc(1, sizeof(*checksum));
  if (checksum != NULL && !start(checksum, algorithm)) {
    sf_checksum_free(checksum);
    checksum = NULL;
  }
  return checksum;
}

void sf_checksum_free(sf_checksum *checksum) {
  if (checksum != NULL)
    EVP_MD_CTX_free(checksum->digest);
  free(checksum);
}

void sf_checksum_update(sf_checksum *checksum, const void *bytes, size_t length) {
  if (checksum->digest != NULL)
    EVP_DigestUpdate(checksum->digest, bytes, length);
  else if (checksum->index < NUM_ALGORITHMS)
    sf_crc_update(&checksum->crc, bytes, length);
}

bool sf_checksum_finish(sf_checksum *checksum, char value[64]) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  value[0] = '\0';
  if (checksum->index == NUM_ALGORITHMS)
    return true;
  size_t size = algorithms[checksum->index].size;
  if (checksum->digest != NULL && EVP_DigestFinal_ex(checksum->digest, digest, NULL) != 1)
    return false;
  for (size_t i = 0; i < size && checksum->digest == NULL; i++) /* big-endian */
    digest[i] = (uint8_t)(sf_crc_value(&checksum->crc) >> (8 * (size - 1 - i)));
  EVP_EncodeBlock((unsigned char *)value, digest, (int)size);
  return true;
}

bool sf_expected_checksum_holds(const sf_expected_checksum *expected, const void *bytes, size_t length) {
  if (expected->algorithm == SF_CHECKSUM_NONE)
    return true;
  sf_checksum *checksum = sf_checksum_create(expected->algorithm);
  if (checksum == NULL)
    return false;
  char value[64];
  sf_checksum_update(checksum, bytes, length);
  bool holds = sf_checksum_finish(checksum, value) && strcmp(value, expected->value) == 0;
  sf_checksum_free(checksum);
  return holds;
}
