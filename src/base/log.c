#include "base/log.h"

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
