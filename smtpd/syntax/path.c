#include "smtpd/syntax/path.h"

#include "base/utf8.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_high(unsigned char c)
{
	return c >= 0x80; /* part of a UTF-8 sequence; validity is checked over the whole mailbox (RFC 6531 §3.3) */
}

/* RFC 5322 §3.2.3 atext, with UTF8-non-ascii (RFC 6531 §3.3). */
static bool is_atext(unsigned char c)
{
	return ascii_is_alnum(c) || is_high(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* RFC 5321 §4.1.2 qtextSMTP. */
static bool is_qtext(unsigned char c)
{
	return is_high(c) || (c >= 32 && c <= 126 && c != '"' && c != '\\');
}

static bool is_label_char(unsigned char c)
{
	return ascii_is_alnum(c) || is_high(c) || c == '-';
}

static bool is_domain_char(unsigned char c)
{
	return is_label_char(c) || c == '.';
}

/* RFC 5321 §4.1.3 Standardized-tag = Ldh-str. */
static bool is_tag_char(unsigned char c)
{
	return ascii_is_alnum(c) || c == '-';
}

/* RFC 5321 §4.1.3 dcontent. */
static bool is_dcontent(unsigned char c)
{
	return c >= 33 && c <= 126 && c != '[' && c != '\\' && c != ']';
}

static bool label_is_valid(struct span label)
{
	return label.len > 0 && label.len <= PATH_LABEL_MAX && label.ptr[0] != '-' && label.ptr[label.len - 1] != '-';
}

bool domain_is_valid(struct span domain)
{
	struct span rest = domain, label;

	if (domain.len == 0 || domain.len > PATH_DOMAIN_MAX || !span_take_run(&rest, is_domain_char, &label) ||
	        rest.len > 0 || !utf8_valid(domain))
		return false;
	for (rest = domain; span_take_until(&rest, '.', &label);)
		if (!label_is_valid(label))
			return false;
	return label_is_valid(rest);
}

static bool is_ip(int family, struct span text)
{
	char copy[INET6_ADDRSTRLEN];
	unsigned char address[16];

	return span_copy(text, copy, sizeof(copy)) && inet_pton(family, copy, address) == 1;
}

bool address_literal_is_valid(struct span literal)
{
	struct span in = literal, inside, tag, text;

	if (literal.len > PATH_DOMAIN_MAX || !span_take_char(&in, '[') || !span_take_until(&in, ']', &inside) ||
	        in.len > 0)
		return false;
	if (is_ip(AF_INET, inside))
		return true;
	if (span_take_word(&inside, "IPv6:"))
		return is_ip(AF_INET6, inside);
	/* General-address-literal = Standardized-tag ":" 1*dcontent; no other tag is registered, so only the form counts. */
	return span_take_run(&inside, is_tag_char, &tag) && tag.ptr[tag.len - 1] != '-' &&
	       span_take_char(&inside, ':') && span_take_run(&inside, is_dcontent, &text) && inside.len == 0;
}

static bool add_local(struct smtp_path *path, struct span bytes)
{
	if (bytes.len > PATH_LOCAL_MAX - path->local_len)
		return false;
	memcpy(path->local + path->local_len, bytes.ptr, bytes.len);
	path->local_len += bytes.len;
	return true;
}

/* Dot-string = Atom *("." Atom) */
static bool take_dot_string(struct span *in, struct smtp_path *path)
{
	struct span rest = *in, atom;

	do {
		if (!span_take_run(&rest, is_atext, &atom) || !add_local(path, atom))
			return false;
	} while (span_take_char(&rest, '.') && add_local(path, SPAN(".")));
	*in = rest;
	return true;
}

/* quoted-pairSMTP = "\" %d32-126 */
static bool take_quoted_pair(struct span *in, struct span *out)
{
	unsigned char c;

	if (in->len < 2 || in->ptr[0] != '\\')
		return false;
	c = (unsigned char)in->ptr[1];
	if (c < 32 || c > 126)
		return false;
	*out = span_make(in->ptr + 1, 1);
	*in = span_skip(*in, 2);
	return true;
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE */
static bool take_quoted_string(struct span *in, struct smtp_path *path)
{
	struct span rest = *in, piece;

	if (!span_take_char(&rest, '"'))
		return false;
	while (span_take_run(&rest, is_qtext, &piece) || take_quoted_pair(&rest, &piece))
		if (!add_local(path, piece))
			return false;
	if (!span_take_char(&rest, '"'))
		return false;
	*in = rest;
	return true;
}

static bool take_literal(struct span *in, struct span *out)
{
	struct span rest = *in, inside;

	if (!span_take_char(&rest, '[') || !span_take_until(&rest, ']', &inside))
		return false;
	*out = span_make(in->ptr, inside.len + 2);
	if (!address_literal_is_valid(*out))
		return false;
	*in = rest;
	return true;
}

static bool take_domain(struct span *in, struct span *out)
{
	struct span rest = *in;

	if (!span_take_run(&rest, is_domain_char, out) || !domain_is_valid(*out))
		return false;
	*in = rest;
	return true;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ) */
static bool take_mailbox(struct span *in, struct smtp_path *path)
{
	struct span rest = *in;

	path->local_len = 0;
	if (!(rest.len > 0 && rest.ptr[0] == '"' ? take_quoted_string(&rest, path) : take_dot_string(&rest, path)))
		return false;
	if (!span_take_char(&rest, '@'))
		return false;
	path->literal = take_literal(&rest, &path->domain);
	if (!path->literal && !take_domain(&rest, &path->domain))
		return false;
	path->mailbox = span_make(in->ptr, in->len - rest.len);
	path->utf8 = !utf8_is_ascii(path->mailbox);
	*in = rest;
	return !path->utf8 || utf8_valid(path->mailbox);
}

/* A-d-l ":" where A-d-l = At-domain *( "," At-domain ): recognised, never used (RFC 5321 §4.1.1.3, appendix C). */
static bool take_route(struct span *in)
{
	struct span rest = *in, domain;

	do {
		if (!span_take_char(&rest, '@') || (!take_literal(&rest, &domain) && !take_domain(&rest, &domain)))
			return false;
	} while (span_take_char(&rest, ','));
	if (!span_take_char(&rest, ':'))
		return false;
	*in = rest;
	return true;
}

static bool bad_address(struct error *err, const char *what)
{
	return error_set(err, ERR_BAD_ADDRESS, "%s", what);
}

/* Path = "<" [ A-d-l ":" ] Mailbox ">", after its "<". */
static bool take_path_rest(struct span *in, struct smtp_path *path, struct error *err)
{
	struct span rest = *in;

	if (rest.len > 0 && rest.ptr[0] == '@') {
		if (!take_route(&rest) || in->len - rest.len > PATH_ROUTE_MAX)
			return bad_address(err, "bad source route");
		path->routed = true;
	}
	if (!take_mailbox(&rest, path))
		return bad_address(err, "bad address: expected <local-part@domain>");
	if (!span_take_char(&rest, '>'))
		return bad_address(err, "bad address: expected \">\" after the domain");
	if (path->mailbox.len > PATH_MAILBOX_MAX)
		return error_set(err, ERR_TOO_LONG, "address too long: at most %d octets", PATH_MAILBOX_MAX);
	*in = rest;
	return true;
}

bool path_take_reverse(struct span *in, struct smtp_path *out, struct error *err)
{
	struct span rest = *in;

	*out = (struct smtp_path) { .mailbox = SPAN_EMPTY };
	if (!span_take_char(&rest, '<'))
		return bad_address(err, "expected an address in angle brackets");
	if (!span_take_char(&rest, '>') && !take_path_rest(&rest, out, err))
		return false;
	*in = rest;
	return true;
}

/* "<Postmaster>" is always an address of ours, whatever the domain (RFC 5321 §4.5.1). */
static bool take_postmaster(struct span *in, struct smtp_path *out)
{
	struct span rest = *in;

	if (!span_take_word(&rest, "postmaster>"))
		return false;
	out->mailbox = span_first(*in, sizeof("postmaster") - 1);
	*in = rest;
	return add_local(out, SPAN("postmaster"));
}

bool path_take_forward(struct span *in, struct smtp_path *out, struct error *err)
{
	struct span rest = *in;

	*out = (struct smtp_path) { .mailbox = SPAN_EMPTY };
	if (!span_take_char(&rest, '<'))
		return bad_address(err, "expected an address in angle brackets");
	if (!take_postmaster(&rest, out) && !take_path_rest(&rest, out, err))
		return false;
	*in = rest;
	return true;
}

bool path_parse_mailbox(struct span text, struct smtp_path *out, struct error *err)
{
	*out = (struct smtp_path) { .mailbox = SPAN_EMPTY };
	if (!take_mailbox(&text, out) || text.len > 0)
		return bad_address(err, "bad address: expected local-part@domain");
	if (out->mailbox.len > PATH_MAILBOX_MAX)
		return error_set(err, ERR_TOO_LONG, "address too long: at most %d octets", PATH_MAILBOX_MAX);
	return true;
}

struct span path_local(const struct smtp_path *path)
{
	return span_make(path->local, path->local_len);
}
