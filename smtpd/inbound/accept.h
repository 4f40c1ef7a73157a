/* smtpd/inbound/accept.h — may this sender, this recipient, this message come in? One list of checks for each, in order.
 *
 * The checks of *_now() touch no disk and run on the event loop; the others read the directory or an account and run on
 * a worker thread. The first check that refuses fills *err with the words for the peer; server/reply_for_error.c turns
 * its code into a reply. */
#ifndef SMTPD_INBOUND_ACCEPT_H
#define SMTPD_INBOUND_ACCEPT_H

#include "smtpd/settings.h"
#include "smtpd/syntax/params.h"
#include "storage/directory.h"
#include "storage/store.h"

struct accept_context {
	const struct smtpd_settings *settings;
	struct directory *directory;
	struct store *store;
};

struct sender_request {
	const struct mail_args *args;
	int64_t account_id; /* who logged in; 0 on port 25 */
};

struct recipient_request {
	const struct smtp_path *recipient;
	int64_t account_id;       /* who logged in; 0 on port 25 */
	bool smtputf8;            /* said by MAIL */
	uint64_t size;            /* announced by MAIL, or 0 */
	size_t recipients_so_far; /* accepted for this message */
};

struct message_request {
	struct span header; /* the block as received */
	int64_t account_id; /* who logged in; 0 on port 25 */
};

bool accept_sender_now(const struct accept_context *context, const struct sender_request *request, struct error *err);
bool accept_sender(const struct accept_context *context, const struct sender_request *request, struct error *err);

bool accept_recipient_now(
        const struct accept_context *context, const struct recipient_request *request, struct error *err);
/* Fills *out with the accounts that the recipient reaches. */
bool accept_recipient(const struct accept_context *context, const struct recipient_request *request,
        struct resolution *out, struct error *err);

/* After the end of data, before anything is stored. */
bool accept_message(const struct accept_context *context, const struct message_request *request, struct error *err);

#endif
