/* Whether stored lists are those of a shard's rows. */
#ifndef SF_QUERY_VERIFY_LISTS_H
#define SF_QUERY_VERIFY_LISTS_H

#include "base/cancellation.h"
#include "formats/shard.h"
#include "lists/lists.h"

/* Each row that can be a result is in one list, and what its quantized vectors say of its distance from itself is no more than
 * that is: no search rules it out wrongly. Fails with SF_DB_ADAPTER_ERROR, which names the list and the row. */
sf_code sf_lists_verify(const sf_lists *lists, const sf_shard *shard, const sf_cancellation *cancellation,
                        sf_error *error);

#endif
