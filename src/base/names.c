/* The public enums' names, as the format and the interfaces spell them. */
#include "shardyfusion.h"

const char *sf_health_status_name(sf_health_status status) {
  switch (status) {
  case SF_HEALTHY:
    return "healthy";
  case SF_DEGRADED:
    return "degraded";
  case SF_UNHEALTHY:
    return "unhealthy";
  }
  return "unknown";
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
  }
  return "unknown";
}
