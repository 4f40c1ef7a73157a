#include "posthouse/sendmail/options.h"

#include "base/span.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Those with an argument that we only step over: -A -L -O -p -X, and what -o and -d bring; -G -n -U and -x stand alone. "+": options
 * end where the recipients begin, so that an address can never be taken for an option. */
#define OPTIONS "+:A:B:b:C:d::F:f:GhiL:N:nO:o:p:q::R:r:tUV:vX:x"

/* RFC 3461 §4.1: "NEVER" alone, or a list of the others. */
static bool is_notify(const char *value)
{
	struct span rest = span_of(value), word;
	bool any = false;

	if (strcasecmp(value, "never") == 0)
		return true;
	while (rest.len > 0) {
		if (!span_take_until(&rest, ',', &word)) {
			word = rest;
			rest = SPAN_EMPTY;
		}
		if (!span_equal_nocase(word, SPAN("success")) && !span_equal_nocase(word, SPAN("failure")) &&
		        !span_equal_nocase(word, SPAN("delay")))
			return false;
		any = true;
	}
	return any;
}

static bool set_mode(const char *value, struct sendmail_options *out, struct error *err)
{
	switch (value[0]) {
	case 'm': return true; /* "deliver mail": what we do anyway */
	case 's': out->mode = SENDMAIL_SMTP; return true;
	case 'p': out->mode = SENDMAIL_LIST; return true;
	case 'i': out->mode = SENDMAIL_ALIASES; return true;
	case 'd':
	case 'D': return error_set(err, ERR_UNSUPPORTED, "-b%c: the server is started by `posthouse serve`", value[0]);
	case 'v':
		return error_set(err, ERR_UNSUPPORTED,
		        "-bv: to see how an address is taken, write to it and ask `posthouse explain`");
	default: return error_set(err, ERR_UNSUPPORTED, "-b%.10s: there is no such mode here", value);
	}
}

static bool set_value(int option, const char *value, struct sendmail_options *out, struct error *err)
{
	switch (option) {
	case 'B':
		out->body = value;
		return strcasecmp(value, "7BIT") == 0 || strcasecmp(value, "8BITMIME") == 0 ||
		       error_set(err, ERR_SYNTAX, "-B: expected 7BIT or 8BITMIME");
	case 'N':
		out->notify = value;
		return is_notify(value) ||
		       error_set(err, ERR_SYNTAX, "-N: expected never, or some of success,failure,delay");
	case 'R':
		out->ret = value;
		return strcasecmp(value, "full") == 0 || strcasecmp(value, "hdrs") == 0 ||
		       error_set(err, ERR_SYNTAX, "-R: expected full or hdrs");
	case 'V':
		out->envid = value;
		return value[0] != '\0' || error_set(err, ERR_SYNTAX, "-V: expected an envelope id");
	case 'C': out->config = value; return true;
	case 'F': out->full_name = value; return true;
	default: out->sender = value; return true;
	}
}

static bool set_option(int option, const char *value, struct sendmail_options *out, struct error *err)
{
	switch (option) {
	case 'b': return set_mode(value, out, err);
	case 'i': out->ignore_dots = true; return true;
	case 'o': /* -oi; -oem, -odi and the like are about a server that we are not */
		out->ignore_dots = out->ignore_dots || strcmp(value, "i") == 0;
		return true;
	case 'O': out->ignore_dots = out->ignore_dots || strcasecmp(value, "IgnoreDots") == 0; return true;
	case 'q': out->mode = SENDMAIL_RETRY; return true;
	case 't': out->from_header = true; return true;
	case 'v': out->verbose = true; return true;
	case 'B':
	case 'C':
	case 'F':
	case 'f':
	case 'N':
	case 'R':
	case 'r':
	case 'V': return set_value(option, value, out, err);
	default: return true;
	}
}

static void mode_of_name(const char *path, struct sendmail_options *out)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

	if (strcmp(name, "mailq") == 0)
		out->mode = SENDMAIL_LIST;
	else if (strcmp(name, "newaliases") == 0)
		out->mode = SENDMAIL_ALIASES;
}

/* Taking "-f" for an address would send mail where nobody meant it to go. */
static bool has_late_option(const struct sendmail_options *options, bool only_words)
{
	for (size_t i = 0; i < options->recipient_count && !only_words; i++)
		if (options->recipients[i][0] == '-')
			return true;
	return false;
}

bool sendmail_options(int argc, char **argv, struct sendmail_options *out, struct error *err)
{
	int option;

	*out = (struct sendmail_options) { .mode = SENDMAIL_SEND };
	mode_of_name(argc > 0 ? argv[0] : "", out);
	opterr = 0;
	optind = 0; /* from the start, also when a test calls it again */
	while ((option = getopt(argc, argv, OPTIONS)) != -1) {
		if (option == '?')
			return error_set(err, ERR_SYNTAX, "-%c: there is no such option", optopt);
		if (option == ':')
			return error_set(err, ERR_SYNTAX, "-%c needs a value", optopt);
		if (!set_option(option, optarg, out, err))
			return false;
	}
	out->recipients = argv + optind;
	out->recipient_count = (size_t)(argc - optind);
	if (has_late_option(out, optind > 0 && strcmp(argv[optind - 1], "--") == 0))
		return error_set(
		        err, ERR_SYNTAX, "options stand before the recipients; after -- an address may begin with -");
	if (out->recipient_count > SENDMAIL_RECIPIENTS_MAX)
		return error_set(err, ERR_SYNTAX, "more than %d recipients", SENDMAIL_RECIPIENTS_MAX);
	if (out->mode == SENDMAIL_SEND && out->recipient_count == 0 && !out->from_header)
		return error_set(err, ERR_SYNTAX, "to whom? name recipients, or say -t when they are in the message");
	return true;
}
