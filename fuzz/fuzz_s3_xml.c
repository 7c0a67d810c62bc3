#include "storage/s3/responses.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sf_s3_error_document document;
  sf_s3_parse_error(data, size, &document);
  if (memchr(document.message, '\0', sizeof(document.message)) == NULL)
    abort();
  sf_s3_list_page page;
  if (sf_s3_parse_list_page(data, size, &page))
    for (size_t i = 0; i < page.num_keys; i++)
      if (page.keys[i] == NULL)
        abort();
  sf_s3_list_page_clear(&page);
  sf_s3_uploads_page uploads;
  if (sf_s3_parse_uploads_page(data, size, &uploads))
    for (size_t i = 0; i < uploads.num_uploads; i++)
      if (uploads.uploads[i].key == NULL || uploads.uploads[i].id == NULL)
        abort();
  sf_s3_uploads_page_clear(&uploads);
  sf_s3_assumed_role role;
  if (sf_s3_parse_assumed_role(data, size, &role))
    sf_s3_assumed_role_clear(&role);
  char *upload_id = sf_s3_parse_upload_id(data, size);
  if (upload_id != NULL && upload_id[0] == '\0')
    abort();
  free(upload_id);
  return 0;
}
