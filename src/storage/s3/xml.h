/* XML documents, as far as object stores send them: elements and text. */
#ifndef SF_STORAGE_S3_XML_H
#define SF_STORAGE_S3_XML_H

#include "base/memory.h"

/* Called when an element ends that holds no other elements: `path` has the names from the root down, without namespaces
 * ("/ListBucketResult/Contents/Key"), `text` its text. False stops, and the parse fails. */
typedef bool (*sf_xml_callback)(const char *path, const char *text, void *user_data);

/* Parses a whole document. Document types, and with them entities of their own, are refused; so are depth and text without
 * bounds. False when the document is malformed; or when memory is out, here or in the callback: then errno is ENOMEM. */
bool sf_xml_parse(const void *bytes, size_t length, sf_xml_callback callback, void *user_data);

#endif
