/* imapd/append.h — one APPEND: its messages from the wire to the mailbox (RFC 9051 §6.3.12, RFC 3502).
 *
 *   cmd_append -> announced -> [check, on a worker: TRYCREATE, OVERQUOTA] -> "+" -> on_bytes -> spool (a worker writes what
 *                 ^                                                                             is over 64 KiB)
 *                 |-- MULTIAPPEND: the next message ----------------------------- on_rest <-----+
 *                                                                                   |
 *   session_detach: the next APPEND is read meanwhile;  append_commit (a worker) <--+  -> request_end
 *
 * A mailbox that is missing and a quota that is too small are found before the message is sent where the client waits for "+", or
 * where it is large; else at the commit. APPENDs of one account that wait together become one transaction, each with a savepoint
 * of its own (net/worker.h: run_batch), so a client that sends them without waiting pays for few syncs; and while one commits, what comes
 * behind it is parsed on another thread (append_prepare). An APPEND that fails earlier
 * takes the same way if others are before it: answers come in the order of the commands (Apple Mail 3.2 relied on that).
 * Memory: a session that has APPEND_PIPELINE_MAX of messages on the way is not read until a commit is through; one command may have
 * APPEND_COMMAND_MAX. A message in a file counts as STORE_INLINE_BODY_MAX: it is a descriptor. */
#ifndef IMAPD_APPEND_H
#define IMAPD_APPEND_H

#include "imapd/append_text.h"
#include "imapd/session.h"
#include "message/summary.h"

#define APPEND_PIPELINE_MAX  (8 * MIB)
#define APPEND_COMMAND_MAX   (24 * MIB)
#define APPEND_SUMMARIES_MAX (24 * MIB)  /* of all messages of one command: envelopes, structures, header blocks */
#define APPEND_MESSAGES_MAX  20000       /* of one command; each costs some hundred octets beside its text */
#define APPEND_DETACHED_MAX  64          /* APPENDs whose commit is under way */
#define APPEND_ARENA_MAX     (1 * MIB)   /* names and keywords of one command */
#define APPEND_PREPARE_MIN   (256 * KIB) /* of messages in one command */
#define APPEND_PREPARE_KEY   ((uint64_t)1 << 61) /* with account_writing_key(): the line of those that are prepared */
#define APPEND_CHUNK_MAX     (1 * MIB)           /* on its way into a file; what one read gives is far less */

struct directory;

struct append_part {
	struct spool *spool;
	struct message_summary summary;
	struct message_flags flags;
	int64_t internal_date_ms;
};

/* The state of a request. Owner: the loop; while a job is under way, the job. */
struct append {
	struct worker_job job;
	bool preparing; /* is or stands in the line of append_prepare(); the loop's */
	bool prepared;
	struct imap_session *session;
	struct imap_request *request;
	struct store *store;
	struct directory *directory;
	int64_t account_id;

	struct arena arena;
	struct span mailbox;
	struct append_part *parts;
	size_t count, capacity;
	uint64_t announced; /* octets, all messages together */
	size_t memory;      /* what it has counted in session->append_memory */

	/* the message that comes in, the last one of parts */
	struct append_message head;
	size_t part_memory; /* what it has counted in memory */
	struct append_text text;
	struct buffer chunk;

	struct error error; /* set: nothing was appended */
	bool try_create;    /* with ERR_NO_SUCH_MAILBOX */
	struct buffer uids; /* "APPENDUID 38505 3955:3957" */
};

/* --- append_commit.c, on workers --- */
/* Is there a mailbox, and room in the account? Fills a->error. */
void append_check(struct append *a);
/* append_known.c: the UID of the message in Sent that we have filed and that this APPEND brings once more; 0: none. */
uint32_t append_known(const struct append *a, struct account *account, int64_t sent);
/* run_batch: computes what is stored beside the octets, and makes large ones durable; append_commit() does it where that has not been done. */
void append_prepare(struct worker_job **jobs, size_t count);
/* run_batch of the jobs of one account. What has an error already is left alone. Frees the spools of all. */
void append_commit(struct worker_job **jobs, size_t count);

#endif
