#include "base/report.h"

#include <stdarg.h>
#include <stdio.h>

void sf_log_message(const sf_log *log, sf_log_level level, const char *format, ...) {
  if (log == NULL || log->callback == NULL)
    return;
  char message[sizeof(((sf_error *)NULL)->message) + 256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  sf_replace_unprintable(message);
  log->callback(level, message, log->user_data);
}

const char *sf_event_type_name(sf_event_type type) {
  switch (type) {
  case SF_EVENT_READER_INITIALIZED:
    return "reader_initialized";
  case SF_EVENT_READER_REFRESHED:
    return "reader_refreshed";
  case SF_EVENT_READER_CLOSED:
    return "reader_closed";
  case SF_EVENT_SEARCH:
    return "search";
  case SF_EVENT_SHARD_SEARCH:
    return "shard_search";
  case SF_EVENT_SHARD_LOAD:
    return "shard_load";
  case SF_EVENT_FALLBACK:
    return "fallback";
  case SF_EVENT_LISTS_LOAD:
    return "lists_load";
  }
  return "unknown";
}
