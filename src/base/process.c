#include "base/process.h"

#include <unistd.h>

long sf_process_id(void) {
  return (long)getpid();
}

sf_code sf_process_check(long made_in, const char *what, sf_error *error) {
  if (made_in == sf_process_id())
    return SF_OK;
  return sf_fail(error, SF_READER_STATE_ERROR,
                 "%s was made by process %ld and can't be used after a fork: make one in this process", what, made_in);
}
