/* A client that sends mail also appends it to Sent; where we have filed it there already (account option file_sent), its copy is the same
 * message and not another one. */
#include "imapd/append.h"

#include "base/clock.h"
#include "storage/same_message.h"

#define KNOWN_MS (24 * 3600 * (int64_t)1000)

uint32_t append_known(const struct append *a, struct account *account, int64_t sent)
{
	const struct message_summary *summary = &a->parts[0].summary;
	const struct same_message wanted = {
		.message_id = summary->message_id,
		.body = summary->size - summary->header_len,
		.since_ms = clock_wall_ms() - KNOWN_MS,
		.submitted = true,
	};

	return a->count == 1 ? mailbox_find_same(account, sent, &wanted) : 0;
}
