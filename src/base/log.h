/* Messages to whoever embeds the library. */
#ifndef SF_BASE_LOG_H
#define SF_BASE_LOG_H

#include "base/error.h"

typedef struct sf_log {
  sf_log_callback callback; /* NULL: silent */
  void *user_data;
} sf_log;

/* `log` may be NULL. Never call it with a lock held: the callback may take the caller's own. */
void sf_log_message(const sf_log *log, sf_log_level level, const char *format, ...) SF_PRINTF(3, 4);

#endif
