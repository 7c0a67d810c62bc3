/*
 * Renews the record of a run while it is under way, however long its caller takes for the next rows: a thread that writes the
 * record anew every minute. Without it, a build that waits for its input looks dead to who watches the leases of runs.
 */
#ifndef SF_WRITER_HEARTBEAT_H
#define SF_WRITER_HEARTBEAT_H

#include "base/report.h"
#include "snapshot/run_record.h"

typedef struct sf_heartbeat sf_heartbeat;

/* Starts it. Borrows all three until it is stopped; nothing else may write the record meanwhile. A renewal that fails is tried
 * again at the next, and logged. */
sf_code sf_heartbeat_start(sf_run_record *record, sf_storage *storage, const sf_log *log, uint32_t interval_ms,
                           sf_heartbeat **heartbeat, sf_error *error);

/* Cancels a renewal under way, waits for the thread, and frees the heartbeat; NULL is allowed. */
void sf_heartbeat_stop(sf_heartbeat *heartbeat);

#endif
