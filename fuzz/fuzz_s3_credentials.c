#include "storage/s3/credentials.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = sf_memdup_string(data, size);
  sf_s3_credentials *credentials = NULL;
  sf_error error;
  if (text != NULL && sf_s3_parse_credential_document(text, size, "document", &credentials, &error) == SF_OK) {
    if (strpbrk(credentials->access_key_id, "\r\n") != NULL)
      abort();
    sf_s3_credentials_release(credentials);
  }
  free(text);
  return 0;
}
