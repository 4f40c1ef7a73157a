#include "imapd/status_text.h"

#include <inttypes.h>

struct item {
	unsigned bit;
	const char *name;
	uint64_t value;
};

bool status_put(struct buffer *out, bool utf8, struct span name, const struct mailbox_info *info, unsigned items,
        uint64_t append_limit)
{
	const struct item table[] = {
		{ STATUS_MESSAGES, "MESSAGES", info->messages },
		{ STATUS_RECENT, "RECENT", 0 }, /* RFC 9051 has no \Recent, and no message of ours is it */
		{ STATUS_UIDNEXT, "UIDNEXT", info->uid_next },
		{ STATUS_UIDVALIDITY, "UIDVALIDITY", info->uid_validity }, { STATUS_UNSEEN, "UNSEEN", info->unseen },
		{ STATUS_DELETED, "DELETED", info->deleted }, { STATUS_SIZE, "SIZE", info->size }, /* RFC 8438 §3 */
		{ STATUS_HIGHESTMODSEQ, "HIGHESTMODSEQ", info->modseq },           /* RFC 7162 §3.1.7 */
		{ STATUS_APPENDLIMIT, "APPENDLIMIT", append_limit },               /* RFC 7889 §3.2 */
		{ STATUS_DELETED_STORAGE, "DELETED-STORAGE", info->deleted_size }, /* RFC 9208 §4.1.4: RFC822.SIZE */
	};
	const char *blank = "";
	bool ok = buffer_append_text(out, "* STATUS ") && mailbox_name_encode(out, utf8, name) &&
	          buffer_append_text(out, " (");

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (!(items & table[i].bit))
			continue;
		ok = ok && buffer_printf(out, "%s%s %" PRIu64, blank, table[i].name, table[i].value);
		blank = " ";
	}
	if (items & STATUS_MAILBOXID) /* RFC 8474 §4.3 */
		ok = ok && buffer_printf(out, "%sMAILBOXID (F%" PRId64 ")", blank, info->id);
	return ok && buffer_append_text(out, ")\r\n");
}
