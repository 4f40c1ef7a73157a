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

/* RFC 6152 §2; BINARYMIME is not offered (RFC 3030 §3). */
static bool param_body(struct mail_args *args, const struct smtp_param *param, struct error *err)
{
	if (span_equal_nocase(param->value, SPAN("8BITMIME")))
		args->eight_bit = true;
	else if (!span_equal_nocase(param->value, SPAN("7BIT")))
		return error_set(err, ERR_BAD_VALUE, "bad BODY: expected 7BIT or 8BITMIME");
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

static const struct mail_param {
	const char *keyword;
	bool (*apply)(struct mail_args *args, const struct smtp_param *param, struct error *err);
	bool needs_auth; /* only where AUTH was announced */
} mail_params[] = {
	{ "SIZE", param_size, false },         /* RFC 1870 §6 */
	{ "BODY", param_body, false },         /* RFC 6152 §3 */
	{ "SMTPUTF8", param_smtputf8, false }, /* RFC 6531 §3.4 */
	{ "AUTH", param_auth, true },          /* RFC 4954 §5 */
};

static bool apply_mail_param(
        struct mail_args *args, const struct smtp_param *param, bool extended, bool auth, struct error *err)
{
	for (size_t i = 0; extended && i < ARRAY_LEN(mail_params); i++)
		if (span_equal_nocase(param->keyword, span_of(mail_params[i].keyword)) &&
		        (auth || !mail_params[i].needs_auth))
			return mail_params[i].apply(args, param, err);
	return error_set(
	        err, ERR_UNSUPPORTED, "parameter %.*s is not supported", SPAN_FMT(span_first(param->keyword, 32)));
}

/* Outlook sends a blank after the colon when it submits (clients.md §5), against RFC 5321 §3.3; others did so on 25. */
static bool take_colon_word(struct span *in, const char *word)
{
	if (!span_take_word(in, word))
		return false;
	skip_blanks(in);
	return true;
}

bool parse_mail(struct span in, bool extended, bool auth, struct mail_args *args, struct error *err)
{
	struct smtp_param params[SMTP_PARAMS_MAX];
	size_t count;

	*args = (struct mail_args) { .size = 0 };
	if (!take_colon_word(&in, "FROM:"))
		return error_set(err, ERR_SYNTAX, "expected MAIL FROM:<address>");
	if (!path_take_reverse(&in, &args->sender, err) || !smtp_params_parse(in, params, &count, err))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!apply_mail_param(args, &params[i], extended, auth, err))
			return false;
	return true;
}

bool parse_rcpt(struct span in, struct rcpt_args *args, struct error *err)
{
	struct smtp_param params[SMTP_PARAMS_MAX];
	size_t count;

	*args = (struct rcpt_args) { .notify = 0 };
	if (!take_colon_word(&in, "TO:"))
		return error_set(err, ERR_SYNTAX, "expected RCPT TO:<address>");
	if (!path_take_forward(&in, &args->recipient, err) || !smtp_params_parse(in, params, &count, err))
		return false;
	if (count > 0)
		return error_set(err, ERR_UNSUPPORTED, "parameter %.*s is not supported",
		        SPAN_FMT(span_first(params[0].keyword, 32)));
	return true;
}
