/*
 * AWS's shared config and credentials files.
 * https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
 */
#ifndef SF_STORAGE_S3_INI_H
#define SF_STORAGE_S3_INI_H

#include "base/memory.h"

/* A setting. One nested below another ("s3 =", then indented "addressing_style = path") is "s3.addressing_style". */
typedef struct sf_ini_entry {
  char *section; /* "default", "profile name", "services name" */
  char *name;    /* lower case */
  char *value;
} sf_ini_entry;

typedef struct sf_ini {
  sf_ini_entry *entries;
  size_t count;
} sf_ini;

/* Lines that are neither section nor setting are skipped, as AWS's own tools do. False when memory is out or the text is
 * unreasonably large; the ini is then empty. */
bool sf_ini_parse(const char *text, size_t length, sf_ini *ini);
void sf_ini_clear(sf_ini *ini); /* wipes: credentials are among the values */

/* The value of a setting, the last one where it is repeated; NULL when there is none. */
const char *sf_ini_get(const sf_ini *ini, const char *section, const char *name);
/* As sf_ini_get, of the section "<kind> <name_of_section>". */
const char *sf_ini_get_of(const sf_ini *ini, const char *kind, const char *name_of_section, const char *name);
bool sf_ini_has_section(const sf_ini *ini, const char *section);

#endif
