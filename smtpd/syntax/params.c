#include "smtpd/syntax/params.h"

#include "base/macros.h"

static bool is_keyword_char(unsigned char c)
{
	return ascii_is_alnum(c) || c == '-';
}

/* RFC 5321 §4.1.2 esmtp-value, with UTF8-non-ascii (RFC 6531 §3.3). A "=" inside is forgiven: base64 and xtext carry it. */
static bool is_value_char(unsigned char c)
{
	return c > 32 && c != 127;
}

/* esmtp-param = esmtp-keyword ["=" esmtp-value] */
static bool take_param(struct span *in, struct smtp_param *out)
{
	struct span rest = *in;

	if (!span_take_run(&rest, is_keyword_char, &out->keyword) || out->keyword.ptr[0] == '-')
		return false;
	out->value = SPAN_EMPTY;
	out->has_value = span_take_char(&rest, '=');
	if (out->has_value && !span_take_run(&rest, is_value_char, &out->value))
		return false;
	*in = rest;
	return true;
}

static void skip_blanks(struct span *in)
{
	while (span_take_char(in, ' ') || span_take_char(in, '\t'))
		continue;
}

static bool is_repeated(const struct smtp_param *params, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal_nocase(params[i].keyword, params[count].keyword))
			return true;
	return false;
}

bool smtp_params_parse(struct span in, struct smtp_param params[SMTP_PARAMS_MAX], size_t *count, struct error *err)
{
	*count = 0;
	while (in.len > 0) {
		if (in.ptr[0] != ' ' && in.ptr[0] != '\t')
			return error_set(err, ERR_SYNTAX, "expected a blank before the parameters");
		skip_blanks(&in);
		if (in.len == 0)
			return true;
		if (*count == SMTP_PARAMS_MAX)
			return error_set(err, ERR_TOO_LONG, "more than %d parameters", SMTP_PARAMS_MAX);
		if (!take_param(&in, &params[*count]))
			return error_set(err, ERR_SYNTAX, "bad parameter: expected KEYWORD or KEYWORD=value");
		if (is_repeated(params, *count))
			return error_set(err, ERR_SYNTAX, "a parameter may stand only once");
		(*count)++;
	}
	return true;
}

/* RFC 1870 §3: size-value ::= 1*20DIGIT */
static bool param_size(struct mail_args *args, const struct smtp_param *param, struct error *err)
{
	if (!span_number(param->value, UINT64_MAX, &args->size))
		return error_set(err, ERR_BAD_VALUE, "bad SIZE: expected a number of octets");
	args->has_size = true;
	return true;
}

/* RFC 6152 §2, RFC 3030 §3. */
static bool param_body(struct mail_args *args, const struct smtp_param *param, struct error *err)
{
	if (span_equal_nocase(param->value, SPAN("8BITMIME")))
		args->body = BODY_8BITMIME;
	else if (span_equal_nocase(param->value, SPAN("BINARYMIME")))
		args->body = BODY_BINARYMIME;
	else if (!span_equal_nocase(param->value, SPAN("7BIT")))
		return error_set(err, ERR_BAD_VALUE, "bad BODY: expected 7BIT, 8BITMIME or BINARYMIME");
	args->eight_bit = args->body != BODY_7BIT;
	return true;
}

/* RFC 6531 §3.4: the parameter takes no value. BODY=8BITMIME is not asked for beside it: Apple Mail leaves it out. */
static bool param_smtputf8(struct mail_args *args, const struct smtp_param *param, struct error *err)
{
	if (param->has_value)
		return error_set(err, ERR_BAD_VALUE, "SMTPUTF8 takes no value");
	args->smtputf8 = true;
	return true;
}

/* RFC 4954 §5: read and set aside; we trust no client to say who wrote a message, so it counts as "AUTH=<>". */
static bool param_auth(struct mail_args *args, const struct smtp_param *param, struct error *err)
{
	(void)args;
	if (!param->has_value)
		return error_set(err, ERR_BAD_VALUE, "AUTH= needs a value");
	return true;
}

/* ---- delivery status notifications (RFC 3461) ---- */

static bool is_hex(char c)
{
	return ascii_is_digit((unsigned char)c) || (c >= 'A' && c <= 'F');
}

/* RFC 3461 §4: xtext; raw UTF-8 where utf8 allows it (RFC 6533 §3). */
static bool is_xtext(struct span text, bool utf8)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c <= ' ' || c == '=' || c == 127 || (c > 127 && !utf8))
			return false;
		if (c == '+' && (i + 2 >= text.len || !is_hex(text.ptr[i + 1]) || !is_hex(text.ptr[i + 2])))
			return false;
	}
	return true;
}

static bool param_ret(struct mail_args *args, const struct smtp_param *param, struct error *err)
{
	if (span_equal_nocase(param->value, SPAN("FULL")))
		args->ret = RET_FULL;
	else if (span_equal_nocase(param->value, SPAN("HDRS")))
		args->ret = RET_HDRS;
	else
		return error_set(err, ERR_BAD_VALUE, "bad RET: expected FULL or HDRS");
	return true;
}

static bool param_envid(struct mail_args *args, const struct smtp_param *param, struct error *err)
{
	if (param->value.len == 0 || param->value.len > SMTP_ENVID_MAX || !is_xtext(param->value, false))
		return error_set(err, ERR_BAD_VALUE, "bad ENVID: expected at most 100 characters of xtext");
	args->envid = param->value;
	return true;
}

static bool notify_word(struct span word, unsigned *notify)
{
	static const struct {
		const char *word;
		enum rcpt_notify bit;
	} words[] = {
		{ "SUCCESS", RCPT_NOTIFY_SUCCESS },
		{ "FAILURE", RCPT_NOTIFY_FAILURE },
		{ "DELAY", RCPT_NOTIFY_DELAY },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!span_equal_nocase(word, span_of(words[i].word)))
			continue;
		*notify |= words[i].bit;
		return true;
	}
	return false;
}

/* RFC 3461 §4.1: "NEVER" stands alone. */
static bool rcpt_param_notify(struct rcpt_args *args, const struct smtp_param *param, struct error *err)
{
	struct span rest = param->value, word;

	if (span_equal_nocase(rest, SPAN("NEVER"))) {
		args->notify = RCPT_NOTIFY_NEVER;
		return true;
	}
	do {
		bool last = !span_take_until(&rest, ',', &word);
		if (last)
			word = rest;
		if (!notify_word(word, &args->notify))
			return error_set(
			        err, ERR_BAD_VALUE, "bad NOTIFY: expected NEVER, or some of SUCCESS,FAILURE,DELAY");
		if (last)
			return true;
	} while (true);
}

static bool is_atom_char(unsigned char c)
{
	return ascii_is_alnum(c) || c == '-';
}

/* RFC 3461 §4.2: addr-type ";" xtext. */
static bool rcpt_param_orcpt(struct rcpt_args *args, const struct smtp_param *param, struct error *err)
{
	struct span rest = param->value, type;
	bool ok = param->value.len <= SMTP_ORCPT_MAX && span_take_run(&rest, is_atom_char, &type) &&
	          span_take_char(&rest, ';') && rest.len > 0;

	if (!ok || !is_xtext(rest, span_equal_nocase(type, SPAN("utf-8"))))
		return error_set(err, ERR_BAD_VALUE, "bad ORCPT: expected a type, a semicolon and an address in xtext");
	args->orcpt = param->value;
	return true;
}

/* ---- when (RFC 4865, RFC 2852) ---- */

/* RFC 4865 §4.2: one of the two, and not for longer than was announced. */
static bool hold(struct mail_args *args, enum mail_hold how, int64_t until_ms, const struct smtp_offers *offers,
        struct error *err)
{
	if (args->hold != HOLD_NOT_SAID)
		return error_set(err, ERR_BAD_VALUE, "HOLDFOR and HOLDUNTIL exclude each other");
	if (until_ms > offers->now_ms + (int64_t)SMTP_HOLD_MAX * 1000)
		return error_set(
		        err, ERR_BAD_VALUE, "a message can be held for at most %d days", SMTP_HOLD_MAX / 86400);
	args->hold = how;
	args->hold_until_ms = until_ms;
	return true;
}

/* RFC 4865 §3: future-release-integer = %x31-39 *8DIGIT */
static bool param_holdfor(
        struct mail_args *args, const struct smtp_param *param, const struct smtp_offers *offers, struct error *err)
{
	uint64_t seconds;

	if (!span_number(param->value, SMTP_BY_MAX, &seconds) || param->value.ptr[0] == '0')
		return error_set(err, ERR_BAD_VALUE, "bad HOLDFOR: expected a number of seconds, 1 or more");
	args->hold_seconds = (uint32_t)seconds;
	return hold(args, HOLD_FOR, offers->now_ms + (int64_t)seconds * 1000, offers, err);
}

static bool param_holduntil(
        struct mail_args *args, const struct smtp_param *param, const struct smtp_offers *offers, struct error *err)
{
	int64_t seconds;

	if (!parse_date_time(param->value, &seconds))
		return error_set(err, ERR_BAD_VALUE, "bad HOLDUNTIL: expected a time like 2026-11-21T12:00:00Z");
	return hold(args, HOLD_UNTIL, seconds * 1000, offers, err);
}

/* RFC 2852 §4: by-time ";" by-mode [by-trace]; a time that is not to come is an error with R. §3: one that is shorter than was announced
 * is refused with 55z. */
static bool param_by(
        struct mail_args *args, const struct smtp_param *param, const struct smtp_offers *offers, struct error *err)
{
	struct span rest = param->value, digits;
	uint64_t number;
	int64_t seconds;
	bool negative = span_take_char(&rest, '-');

	if (!negative)
		(void)span_take_char(&rest, '+');
	if (!span_take_until(&rest, ';', &digits) || digits.len > 9 || !span_number(digits, SMTP_BY_MAX, &number))
		return error_set(err, ERR_BAD_VALUE, "bad BY: expected seconds, a semicolon and R or N");
	args->by_mode = span_take_word(&rest, "R") ? BY_RETURN : span_take_word(&rest, "N") ? BY_NOTIFY : BY_NOT_SAID;
	args->by_trace = span_take_word(&rest, "T");
	if (args->by_mode == BY_NOT_SAID || rest.len > 0)
		return error_set(err, ERR_BAD_VALUE, "bad BY: expected seconds, a semicolon and R or N");
	seconds = negative ? -(int64_t)number : (int64_t)number;
	if (args->by_mode == BY_RETURN && seconds <= 0)
		return error_set(err, ERR_BAD_VALUE, "BY with R needs a time that is to come");
	if (args->by_mode == BY_RETURN && seconds < SMTP_BY_RETURN_MIN)
		return error_set(err, ERR_UNSUPPORTED, "BY with R needs at least %d seconds", SMTP_BY_RETURN_MIN);
	args->deliver_by_ms = offers->now_ms + seconds * 1000;
	return true;
}

/* RFC 4865 §5.2.2: what may not go before it has to be there. */
static bool times_fit(const struct mail_args *args, struct error *err)
{
	if (args->hold == HOLD_NOT_SAID || args->by_mode == BY_NOT_SAID || args->hold_until_ms <= args->deliver_by_ms)
		return true;
	return error_set(err, ERR_BAD_VALUE, "the message would be held for longer than BY leaves");
}

/* RFC 6710 §7: priority-value = (["-"] NZDIGIT) / "0". What it is worth depends on who says it (§4.1): inbound decides. */
static bool param_priority(struct mail_args *args, const struct smtp_param *param, struct error *err)
{
	struct span digit = param->value;
	bool negative = span_take_char(&digit, '-');
	uint32_t value;

	if (digit.len != 1 || !span_take_number(&digit, 9, &value) || (negative && value == 0))
		return error_set(err, ERR_SYNTAX, "bad MT-PRIORITY: expected -9 to 9");
	args->has_priority = true;
	args->priority = negative ? -(int)value : (int)value;
	return true;
}

/* RFC 8689 §2: the parameter takes no value. */
static bool param_requiretls(struct mail_args *args, const struct smtp_param *param, struct error *err)
{
	if (param->has_value)
		return error_set(err, ERR_BAD_VALUE, "REQUIRETLS takes no value");
	args->requiretls = true;
	return true;
}

/* ---- the tables ---- */

static bool offers_all(const struct smtp_offers *offers)
{
	return offers->extended;
}

static bool offers_queue(const struct smtp_offers *offers)
{
	return offers->extended && !offers->no_queue;
}

static bool offers_auth(const struct smtp_offers *offers)
{
	return offers->extended && offers->auth;
}

static bool offers_requiretls(const struct smtp_offers *offers)
{
	return offers->extended && offers->requiretls;
}

static bool offers_future_release(const struct smtp_offers *offers)
{
	return offers->extended && offers->future_release;
}

static const struct mail_param {
	const char *keyword;
	bool (*offered)(const struct smtp_offers *offers);
	bool (*apply)(struct mail_args *args, const struct smtp_param *param, struct error *err);
	bool (*apply_in_time)(struct mail_args *args, const struct smtp_param *param, const struct smtp_offers *offers,
	        struct error *err);
} mail_params[] = {
	{ "SIZE", offers_all, param_size, NULL },                      /* RFC 1870 §6 */
	{ "BODY", offers_all, param_body, NULL },                      /* RFC 6152 §3 */
	{ "SMTPUTF8", offers_all, param_smtputf8, NULL },              /* RFC 6531 §3.4 */
	{ "AUTH", offers_auth, param_auth, NULL },                     /* RFC 4954 §5 */
	{ "RET", offers_queue, param_ret, NULL },                      /* RFC 3461 §4.3 */
	{ "ENVID", offers_queue, param_envid, NULL },                  /* RFC 3461 §4.4 */
	{ "REQUIRETLS", offers_requiretls, param_requiretls, NULL },   /* RFC 8689 §2 */
	{ "BY", offers_queue, NULL, param_by },                        /* RFC 2852 §4 */
	{ "MT-PRIORITY", offers_queue, param_priority, NULL },         /* RFC 6710 §3 */
	{ "HOLDFOR", offers_future_release, NULL, param_holdfor },     /* RFC 4865 §3 */
	{ "HOLDUNTIL", offers_future_release, NULL, param_holduntil }, /* RFC 4865 §3 */
};

static const struct rcpt_param {
	const char *keyword;
	bool (*apply)(struct rcpt_args *args, const struct smtp_param *param, struct error *err);
} rcpt_params[] = {
	{ "NOTIFY", rcpt_param_notify }, /* RFC 3461 §4.1 */
	{ "ORCPT", rcpt_param_orcpt },   /* RFC 3461 §4.2 */
};

static bool unknown_param(const struct smtp_param *param, struct error *err)
{
	return error_set(
	        err, ERR_UNSUPPORTED, "parameter %.*s is not supported", SPAN_FMT(span_first(param->keyword, 32)));
}

static bool apply_mail_param(
        struct mail_args *args, const struct smtp_param *param, const struct smtp_offers *offers, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(mail_params); i++) {
		const struct mail_param *row = &mail_params[i];
		if (!row->offered(offers) || !span_equal_nocase(param->keyword, span_of(row->keyword)))
			continue;
		return row->apply != NULL ? row->apply(args, param, err) : row->apply_in_time(args, param, offers, err);
	}
	return unknown_param(param, err);
}

static bool apply_rcpt_param(
        struct rcpt_args *args, const struct smtp_param *param, const struct smtp_offers *offers, struct error *err)
{
	for (size_t i = 0; offers_queue(offers) && i < ARRAY_LEN(rcpt_params); i++) {
		if (span_equal_nocase(param->keyword, span_of(rcpt_params[i].keyword)))
			return rcpt_params[i].apply(args, param, err);
	}
	return unknown_param(param, err);
}

/* Outlook sends a blank after the colon when it submits (clients.md §5), against RFC 5321 §3.3; others did so on 25. */
static bool take_colon_word(struct span *in, const char *word)
{
	if (!span_take_word(in, word))
		return false;
	skip_blanks(in);
	return true;
}

bool parse_mail(struct span in, const struct smtp_offers *offers, struct mail_args *args, struct error *err)
{
	struct smtp_param params[SMTP_PARAMS_MAX];
	size_t count;

	*args = (struct mail_args) { .size = 0 };
	if (!take_colon_word(&in, "FROM:"))
		return error_set(err, ERR_SYNTAX, "expected MAIL FROM:<address>");
	if (!path_take_reverse(&in, &args->sender, err) || !smtp_params_parse(in, params, &count, err))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!apply_mail_param(args, &params[i], offers, err))
			return false;
	return times_fit(args, err);
}

bool parse_rcpt(struct span in, const struct smtp_offers *offers, struct rcpt_args *args, struct error *err)
{
	struct smtp_param params[SMTP_PARAMS_MAX];
	size_t count;

	*args = (struct rcpt_args) { .notify = 0 };
	if (!take_colon_word(&in, "TO:"))
		return error_set(err, ERR_SYNTAX, "expected RCPT TO:<address>");
	if (!path_take_forward(&in, &args->recipient, err) || !smtp_params_parse(in, params, &count, err))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!apply_rcpt_param(args, &params[i], offers, err))
			return false;
	return true;
}
