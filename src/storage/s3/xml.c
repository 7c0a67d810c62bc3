#include "storage/s3/xml.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <string.h>

#define MAX_PATH_LENGTH 512
#define MAX_DEPTH 32
#define MAX_TEXT_LENGTH ((size_t)64 << 10) /* a session token is the longest that comes; a key has 1 KiB */

typedef struct document {
  XML_Parser parser;
  sf_xml_callback callback;
  void *user_data;
  char path[MAX_PATH_LENGTH + 1];
  size_t path_length;
  unsigned depth;
  bool is_leaf; /* no element has ended since this one began */
  bool failed;
  sf_buffer text;
} document;

static void fail(document *parsed) {
  parsed->failed = true;
  XML_StopParser(parsed->parser, XML_FALSE);
}

static void XMLCALL on_start(void *user_data, const XML_Char *name, const XML_Char **attributes) {
  (void)attributes;
  document *parsed = user_data;
  if (parsed->failed)
    return;
  const char *colon = strrchr(name, ':');
  const char *local_name = colon != NULL ? colon + 1 : name;
  size_t length = strlen(local_name);
  if (parsed->depth == MAX_DEPTH || parsed->path_length + 1 + length > MAX_PATH_LENGTH) {
    fail(parsed);
    return;
  }
  parsed->path[parsed->path_length] = '/';
  memcpy(parsed->path + parsed->path_length + 1, local_name, length + 1);
  parsed->path_length += length + 1;
  parsed->depth++;
  parsed->is_leaf = true;
  parsed->text.length = 0;
}

static void XMLCALL on_end(void *user_data, const XML_Char *name) {
  (void)name;
  document *parsed = user_data;
  if (parsed->failed) /* a parser that was stopped still ends the element that it is at */
    return;
  if (parsed->is_leaf) {
    const char *text = parsed->text.length > 0 ? (const char *)parsed->text.data : "";
    if (!parsed->callback(parsed->path, text, parsed->user_data)) {
      fail(parsed);
      return;
    }
  }
  parsed->is_leaf = false;
  parsed->depth--;
  while (parsed->path[--parsed->path_length] != '/')
    continue;
  parsed->path[parsed->path_length] = '\0';
}

static void XMLCALL on_text(void *user_data, const XML_Char *text, int length) {
  document *parsed = user_data;
  if (parsed->text.length + (size_t)length > MAX_TEXT_LENGTH || !sf_buffer_append(&parsed->text, text, (size_t)length))
    fail(parsed);
}

static void XMLCALL on_document_type(void *user_data, const XML_Char *name, const XML_Char *system_id,
                                     const XML_Char *public_id, int has_internal_subset) {
  (void)name, (void)system_id, (void)public_id, (void)has_internal_subset;
  fail(user_data);
}

bool sf_xml_parse(const void *bytes, size_t length, sf_xml_callback callback, void *user_data) {
  document parsed = {.callback = callback, .user_data = user_data};
  errno = 0;
  parsed.parser = length <= INT_MAX ? XML_ParserCreate(NULL) : NULL;
  if (parsed.parser == NULL)
    return false;
  XML_SetUserData(parsed.parser, &parsed);
  XML_SetElementHandler(parsed.parser, on_start, on_end);
  XML_SetCharacterDataHandler(parsed.parser, on_text);
  XML_SetStartDoctypeDeclHandler(parsed.parser, on_document_type);
  bool well_formed = XML_Parse(parsed.parser, bytes, (int)length, 1) == XML_STATUS_OK;
  if (!well_formed && XML_GetErrorCode(parsed.parser) == XML_ERROR_NO_MEMORY)
    errno = ENOMEM;
  XML_ParserFree(parsed.parser);
  sf_buffer_free(&parsed.text);
  return well_formed && !parsed.failed;
}
