/* What happens, to whoever measures. */
#ifndef SF_BASE_EVENT_H
#define SF_BASE_EVENT_H

#include "shardyfusion/reader.h"

typedef struct sf_event_listener {
  sf_event_callback callback; /* NULL: nobody listens */
  void *user_data;
} sf_event_listener;

static inline bool sf_event_has_callback(const sf_event_listener *listener) {
  return listener != NULL && listener->callback != NULL;
}

/* `listener` may be NULL. Never call it with a lock held, as with sf_log_message. */
static inline void sf_event_emit(const sf_event_listener *listener, sf_event event) {
  event.size = sizeof(event);
  if (sf_event_has_callback(listener))
    listener->callback(&event, listener->user_data);
}

#endif
