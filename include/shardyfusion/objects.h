/* Single objects below a root: for programs that keep manifests or records of their own beside those of snapshots. */
#ifndef SHARDYFUSION_OBJECTS_H
#define SHARDYFUSION_OBJECTS_H

#include "async.h"
#include "storage.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sf_object_action {
  SF_OBJECT_READ = 0,       /* the object's bytes */
  SF_OBJECT_WRITE = 1,      /* writes the object, whole or not at all */
  SF_OBJECT_LIST = 2,       /* the names directly below the key, which ends in '/' or is ""; folders end in '/' */
  SF_OBJECT_REMOVE_ALL = 3, /* removes all objects below the key, which ends in '/' */
  SF_OBJECT_ETAG = 4,       /* what names the object's version in an object store, quotes included; "" in a directory */
} sf_object_action;

typedef struct sf_object_request {
  size_t size; /* sizeof(sf_object_request) */
  sf_object_action action;
  const char *key; /* below the root, without a leading slash; "." and ".." are refused */
  const void *bytes;
  size_t length;
} sf_object_request;

#define SF_OBJECT_REQUEST_INIT SF_INITIALIZER(sf_object_request)

/* The same as SF_OBJECT_REQUEST_INIT, for languages without macros. */
SF_API void sf_object_request_init(sf_object_request *request);

/* Allocated by the library only, as one block: later versions may add members at the end. */
typedef struct sf_object_answer {
  bool found;        /* SF_OBJECT_READ, SF_OBJECT_ETAG: false where there is no such object */
  const void *bytes; /* of these two: `length` of them */
  size_t length;
  const char *const *names; /* SF_OBJECT_LIST: `num_names` of them, in ascending order of bytes */
  size_t num_names;         /* SF_OBJECT_REMOVE_ALL: how many names were directly below the key */
} sf_object_answer;

/* Objects of at most 1 GiB. `s3` may be NULL. The caller frees *answer with sf_free. */
SF_API sf_code sf_object_call(const char *root, const sf_s3_options *s3, const sf_object_request *request,
                              sf_object_answer **answer, sf_error *error);
/* The request and the options must be valid only until this returns. */
SF_API sf_code sf_object_call_submit(const char *root, const sf_s3_options *s3, const sf_object_request *request,
                                     sf_executor *executor, sf_completion_queue *queue, void *user_data,
                                     sf_operation **operation, sf_error *error);
/* Takes the answer from a finished call, once; NULL if it failed or was already taken. */
SF_API sf_object_answer *sf_operation_take_object_answer(sf_operation *operation);

#ifdef __cplusplus
}
#endif

#endif
