/* What the library reports to the program that embeds it: log messages, and events with their figures. */
#ifndef SF_BASE_REPORT_H
#define SF_BASE_REPORT_H

#include "base/error.h"
#include "shardyfusion/reader.h"

typedef struct sf_log {
  sf_log_callback callback; /* NULL: no callback */
  void *user_data;
} sf_log;

/* `log` may be NULL. Not to be called with a lock held: the callback may take a lock of the program's, which another thread
 * may hold while it calls the library. */
void sf_log_message(const sf_log *log, sf_log_level level, const char *format, ...) SF_PRINTF(3, 4);

typedef struct sf_event_listener {
  sf_event_callback callback; /* NULL: no callback */
  void *user_data;
} sf_event_listener;

static inline bool sf_event_has_callback(const sf_event_listener *listener) {
  return listener != NULL && listener->callback != NULL;
}

/* `listener` may be NULL. Not to be called with a lock held, as with sf_log_message. Sets the event's size. */
static inline void sf_event_emit(const sf_event_listener *listener, sf_event event) {
  event.size = sizeof(event);
  if (sf_event_has_callback(listener))
    listener->callback(&event, listener->user_data);
}

#endif
