#include "smtpd/inbound/routing.h"

#include "message/srs.h"
#include "storage/address_key.h"

#include <string.h>

_Static_assert(SRS_SECRET_LEN == DIRECTORY_SECRET_LEN, "the directory keeps the secret of SRS");

bool routing_domain(struct span domain, char out[QUEUE_DOMAIN_MAX + 1], struct error *err)
{
	if (domain.len == 0 || domain.ptr[0] != '[')
		return domain_key(domain, out, QUEUE_DOMAIN_MAX + 1, err);
	if (!span_copy(domain, out, QUEUE_DOMAIN_MAX + 1))
		return error_set(err, ERR_BAD_ADDRESS, "bad address literal");
	for (char *c = out; *c != '\0'; c++)
		*c = ascii_lower(*c);
	return true;
}

static void no_accounts(struct resolution *out)
{
	out->count = 0;
	out->remote_count = 0;
	out->remote_text_len = 0;
	out->detail[0] = '\0';
	out->catch_all = false;
}

bool routing_elsewhere(const struct smtp_path *path, struct routing *out, struct error *err)
{
	out->returned = false;
	no_accounts(&out->resolution);
	if (!span_copy(path->mailbox, out->remote, sizeof(out->remote)))
		return error_set(err, ERR_BAD_ADDRESS, "the address is too long");
	return routing_domain(path->domain, out->domain, err);
}

/* --- ours ---------------------------------------------------------------------------------------------------------- */

static bool is_ours(struct directory *directory, const struct smtp_path *path, struct routing *out, struct error *err)
{
	if (directory_resolve(directory, path_local(path), path->domain, &out->resolution, err))
		return true;
	/* No address here is as long as some elsewhere, and as what SRS makes of them. */
	if (err->code == ERR_BAD_ADDRESS && directory_has_domain(directory, path->domain, err))
		err->code = ERR_NO_SUCH_ADDRESS;
	switch (err->code) {
	case ERR_NO_SUCH_ADDRESS: return error_set(err, ERR_NO_SUCH_ADDRESS, "no such mailbox here");
	case ERR_LIMIT: /* the admin can mend an alias loop, so the sender may try again */
		return error_set(err, ERR_TEMPORARY, "this address cannot be resolved now, try again later");
	default: return false;
	}
}

/* --- a bounce for what we forwarded -------------------------------------------------------------------------------- */

static bool explain_srs(struct error *err)
{
	switch (err->code) {
	case ERR_TIMEOUT: return error_set(err, ERR_NO_SUCH_ADDRESS, "this return address has expired");
	case ERR_BAD_ADDRESS:
	case ERR_DENIED: return error_set(err, ERR_NO_SUCH_ADDRESS, "this return address was not made here");
	default: return false;
	}
}

/* Only reports may come that way: it would be a relay for everybody who has once seen such an address. The original sender may
 * have become one of us meanwhile. */
static bool find_returned(
        struct directory *directory, const struct routing_request *request, struct routing *out, struct error *err)
{
	uint8_t secret[SRS_SECRET_LEN];
	char text[PATH_MAILBOX_MAX + 1];
	struct smtp_path original;

	if (!request->null_sender)
		return error_set(err, ERR_DENIED, "this address takes delivery reports only");
	if (!directory_srs_secret(directory, secret, err))
		return false;
	if (!srs_reverse(secret, path_local(request->recipient), request->unix_seconds, text, sizeof(text), err))
		return explain_srs(err);
	if (!path_parse_mailbox(span_of(text), &original, err))
		return error_set(err, ERR_NO_SUCH_ADDRESS, "this return address was not made here");
	if (!is_ours(directory, &original, out, err) &&
	        (err->code != ERR_NO_SUCH_DOMAIN || !routing_elsewhere(&original, out, err)))
		return false;
	out->returned = true;
	return true;
}

/* --- all together -------------------------------------------------------------------------------------------------- */

/* RFC 5321 §3.6.1: a source route was dropped by the grammar; "%" and "!" in a local part are just characters. So the only
 * question is whose the domain after the last "@" is. A catch-all does not swallow bounces. */
bool routing_find(
        struct directory *directory, const struct routing_request *request, struct routing *out, struct error *err)
{
	bool found;

	out->remote[0] = '\0';
	out->returned = false;
	found = is_ours(directory, request->recipient, out, err);
	if (srs_is_ours(path_local(request->recipient)) &&
	        (found ? out->resolution.catch_all : err->code == ERR_NO_SUCH_ADDRESS))
		return find_returned(directory, request, out, err);
	if (found || err->code != ERR_NO_SUCH_DOMAIN)
		return found;
	if (!request->may_relay)
		return error_set(err, ERR_NO_SUCH_DOMAIN, "relaying denied: mail for this domain is not taken here");
	return routing_elsewhere(request->recipient, out, err);
}
