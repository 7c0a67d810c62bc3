/*
 * The paths that an expression reads: a filter's program in which each selection of payload members by constant names, and the
 * id, has become a variable of its own, so that columns can stand for payloads.
 */
#ifndef SF_FILTER_PATHS_H
#define SF_FILTER_PATHS_H

#include "cel/program.h"

/* An expression that reads more is evaluated row by row. */
#define SF_MAX_FILTER_PATHS 32

/* The id, or a member of the payload, or of a member's object. */
typedef struct sf_filter_path {
  const char *text;           /* distinct for distinct paths; the id's is "id" */
  const char *const *members; /* num_members names from the payload on; none for the id */
  size_t num_members;
} sf_filter_path;

/* A variable of the program: the value that a path has, or whether it has one (has()). */
typedef struct sf_path_variable {
  uint32_t path;
  bool is_has;
} sf_path_variable;

/* Zero-initialised: none. */
typedef struct sf_filter_paths {
  sf_cel_program *program; /* owned, with all that paths point to */
  size_t num_paths;
  sf_filter_path paths[SF_MAX_FILTER_PATHS];
  uint32_t first_variable; /* variables [first_variable, program->num_variables) are those of paths */
  sf_path_variable variables[2 * SF_MAX_FILTER_PATHS];
} sf_filter_paths;

/* Takes the program over, also on failure, which is only that memory is out. *fits is false, and there are no paths, where there
 * are too many. Reads of the payload in other ways stay as they are. */
sf_code sf_filter_paths_find(sf_cel_program *program, sf_filter_paths *paths, bool *fits, sf_error *error);
void sf_filter_paths_free(sf_filter_paths *paths);

#endif
