#include "storage/s3/responses.h"

#include "base/memory.h"
#include "storage/s3/shown.h"
#include "storage/s3/uri.h"
#include "storage/s3/xml.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

/* A page has 1,000 keys; no store sends many more. */
#define MAX_KEYS_PER_PAGE 100000

static bool replace_text(char **field, const char *text) {
  free(*field);
  *field = sf_strdup(text);
  return *field != NULL;
}

/* ---------------------------------------------------------------------------------------------------------- Errors */

static bool on_error_element(const char *path, const char *text, void *user_data) {
  sf_s3_error_document *document = user_data;
  /* S3 has /Error/…, STS /ErrorResponse/Error/… */
  const char *name = strrchr(path, '/') + 1;
  if (strncmp(path, "/Error", 6) != 0)
    return false;
  if (strcmp(name, "Code") == 0)
    sf_s3_show(document->code, sizeof(document->code), text, strlen(text));
  else if (strcmp(name, "Message") == 0)
    sf_s3_show(document->message, sizeof(document->message), text, strlen(text));
  else if (strcmp(name, "Region") == 0)
    sf_s3_show(document->region, sizeof(document->region), text, strlen(text));
  else if (strcmp(name, "Endpoint") == 0)
    sf_s3_show(document->endpoint, sizeof(document->endpoint), text, strlen(text));
  else if (strcmp(name, "RequestId") == 0)
    sf_s3_show(document->request_id, sizeof(document->request_id), text, strlen(text));
  return true;
}

bool sf_s3_parse_error(const void *bytes, size_t length, sf_s3_error_document *document) {
  *document = (sf_s3_error_document){0};
  if (length > 0 && sf_xml_parse(bytes, length, on_error_element, document))
    return true;
  *document = (sf_s3_error_document){0};
  return length == 0 || errno != ENOMEM;
}

/* --------------------------------------------------------------------------------------------------------- Listing */

typedef struct listing {
  sf_s3_list_page *page;
  bool is_list;
  bool is_encoded;
} listing;

static bool add_key(sf_s3_list_page *page, const char *text) {
  if (page->num_keys == MAX_KEYS_PER_PAGE ||
      !sf_array_make_room(&page->keys, page->num_keys, &page->capacity, sizeof(*page->keys)))
    return false;
  page->keys[page->num_keys] = sf_strdup(text);
  return page->keys[page->num_keys] != NULL && ++page->num_keys > 0;
}

static bool on_list_element(const char *path, const char *text, void *user_data) {
  static const char root[] = "/ListBucketResult";
  listing *list = user_data;
  if (strncmp(path, root, sizeof(root) - 1) != 0)
    return false;
  list->is_list = true;
  const char *name = path + sizeof(root) - 1;
  if (strcmp(name, "/Contents/Key") == 0 || strcmp(name, "/CommonPrefixes/Prefix") == 0)
    return add_key(list->page, text);
  if (strcmp(name, "/EncodingType") == 0)
    list->is_encoded = strcmp(text, "url") == 0;
  else if (strcmp(name, "/IsTruncated") == 0)
    list->page->is_truncated = strcmp(text, "true") == 0;
  else if (strcmp(name, "/NextContinuationToken") == 0)
    return replace_text(&list->page->continuation_token, text);
  return true;
}

/* Keys can hold characters that XML can't: they come as in a form, percent-encoded with '+' for a space. */
static bool decode_key(char **key) {
  sf_buffer decoded = {0};
  if (!sf_buffer_reserve(&decoded, 0) || !sf_s3_uri_decode(&decoded, *key, strlen(*key), true)) {
    sf_buffer_free(&decoded);
    return false;
  }
  decoded.data[decoded.length] = '\0';
  free(*key);
  *key = (char *)decoded.data;
  return true;
}

static bool decode_keys(sf_s3_list_page *page) {
  for (size_t i = 0; i < page->num_keys; i++)
    if (!decode_key(&page->keys[i]))
      return false;
  return true;
}

bool sf_s3_parse_list_page(const void *bytes, size_t length, sf_s3_list_page *page) {
  *page = (sf_s3_list_page){0};
  listing list = {.page = page};
  bool parsed =
      sf_xml_parse(bytes, length, on_list_element, &list) && list.is_list && (!list.is_encoded || decode_keys(page));
  if (!parsed)
    sf_s3_list_page_clear(page);
  return parsed;
}

void sf_s3_list_page_clear(sf_s3_list_page *page) {
  for (size_t i = 0; i < page->num_keys; i++)
    free(page->keys[i]);
  free(page->keys);
  free(page->continuation_token);
  *page = (sf_s3_list_page){0};
}

/* --------------------------------------------------------------------------------------------------------- Multipart */

static bool on_upload_element(const char *path, const char *text, void *user_data) {
  return strcmp(path, "/InitiateMultipartUploadResult/UploadId") != 0 || replace_text(user_data, text);
}

char *sf_s3_parse_upload_id(const void *bytes, size_t length) {
  char *id = NULL;
  errno = 0;
  if (length > 0 && sf_xml_parse(bytes, length, on_upload_element, &id) && id != NULL && id[0] != '\0')
    return id;
  free(id);
  return NULL;
}

typedef struct uploads_listing {
  sf_s3_uploads_page *page;
  bool is_list;
  bool is_encoded;
} uploads_listing;

/* Keys and ids come in turns, either first. */
static sf_s3_unfinished_upload *upload_with_room(sf_s3_uploads_page *page, bool for_key) {
  sf_s3_unfinished_upload *last = page->num_uploads > 0 ? &page->uploads[page->num_uploads - 1] : NULL;
  if (last != NULL && (for_key ? last->key : last->id) == NULL)
    return last;
  if ((last != NULL && (last->key == NULL || last->id == NULL)) || page->num_uploads == MAX_KEYS_PER_PAGE ||
      !sf_array_make_room(&page->uploads, page->num_uploads, &page->capacity, sizeof(*page->uploads)))
    return NULL;
  page->uploads[page->num_uploads] = (sf_s3_unfinished_upload){0};
  return &page->uploads[page->num_uploads++];
}

static bool on_uploads_element(const char *path, const char *text, void *user_data) {
  static const char root[] = "/ListMultipartUploadsResult";
  uploads_listing *list = user_data;
  if (strncmp(path, root, sizeof(root) - 1) != 0)
    return false;
  list->is_list = true;
  const char *name = path + sizeof(root) - 1;
  bool is_key = strcmp(name, "/Upload/Key") == 0;
  if (is_key || strcmp(name, "/Upload/UploadId") == 0) {
    sf_s3_unfinished_upload *upload = upload_with_room(list->page, is_key);
    return upload != NULL && replace_text(is_key ? &upload->key : &upload->id, text);
  }
  if (strcmp(name, "/EncodingType") == 0)
    list->is_encoded = strcmp(text, "url") == 0;
  else if (strcmp(name, "/IsTruncated") == 0)
    list->page->is_truncated = strcmp(text, "true") == 0;
  else if (strcmp(name, "/NextKeyMarker") == 0)
    return replace_text(&list->page->next_key, text);
  else if (strcmp(name, "/NextUploadIdMarker") == 0)
    return replace_text(&list->page->next_id, text);
  return true;
}

static bool finish_uploads(const uploads_listing *list) {
  sf_s3_uploads_page *page = list->page;
  for (size_t i = 0; i < page->num_uploads; i++) {
    sf_s3_unfinished_upload *upload = &page->uploads[i];
    if (upload->key == NULL || upload->id == NULL || (list->is_encoded && !decode_key(&upload->key)))
      return false;
  }
  return !list->is_encoded || page->next_key == NULL || decode_key(&page->next_key);
}

bool sf_s3_parse_uploads_page(const void *bytes, size_t length, sf_s3_uploads_page *page) {
  *page = (sf_s3_uploads_page){0};
  uploads_listing list = {.page = page};
  bool parsed = sf_xml_parse(bytes, length, on_uploads_element, &list) && list.is_list && finish_uploads(&list);
  if (!parsed)
    sf_s3_uploads_page_clear(page);
  return parsed;
}

void sf_s3_uploads_page_clear(sf_s3_uploads_page *page) {
  for (size_t i = 0; i < page->num_uploads; i++) {
    free(page->uploads[i].key);
    free(page->uploads[i].id);
  }
  free(page->uploads);
  free(page->next_key);
  free(page->next_id);
  *page = (sf_s3_uploads_page){0};
}

/* ----------------------------------------------------------------------------------------------------- Assumed roles */

static bool on_role_element(const char *path, const char *text, void *user_data) {
  sf_s3_assumed_role *role = user_data;
  const char *name = strstr(path, "Result/Credentials/");
  if (name == NULL)
    return true;
  name = strrchr(path, '/') + 1;
  if (strcmp(name, "AccessKeyId") == 0)
    return replace_text(&role->access_key_id, text);
  if (strcmp(name, "SecretAccessKey") == 0)
    return replace_text(&role->secret_access_key, text);
  if (strcmp(name, "SessionToken") == 0)
    return replace_text(&role->session_token, text);
  return strcmp(name, "Expiration") != 0 || replace_text(&role->expiration, text);
}

bool sf_s3_parse_assumed_role(const void *bytes, size_t length, sf_s3_assumed_role *role) {
  *role = (sf_s3_assumed_role){0};
  bool parsed = sf_xml_parse(bytes, length, on_role_element, role) && role->access_key_id != NULL &&
                role->secret_access_key != NULL && role->session_token != NULL && role->expiration != NULL;
  if (!parsed)
    sf_s3_assumed_role_clear(role);
  return parsed;
}

static void free_secret(char *secret) {
  if (secret != NULL)
    OPENSSL_cleanse(secret, strlen(secret));
  free(secret);
}

void sf_s3_assumed_role_clear(sf_s3_assumed_role *role) {
  free(role->access_key_id);
  free_secret(role->secret_access_key);
  free_secret(role->session_token);
  free(role->expiration);
  *role = (sf_s3_assumed_role){0};
}
