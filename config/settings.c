#include "config/settings.h"

#include "base/check.h"
#include "base/file.h"
#include "config/table.h"
#include "config/value.h"

#include <ini.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX   (256 * KIB)
#define TEXT_MAX   512 /* of one problem */
#define KEYS_MAX   80
#define NO_SECTION "(before the first [section])"

/* One reading of one file. inih gives names and values but no line numbers: the lines are counted as it asks for them. */
struct reading {
	struct settings *out;
	const char *path;
	struct span rest; /* of the file */
	unsigned line;
	bool continues;                /* the line is indented: it goes on with the value before */
	char value[SETTINGS_LIST_MAX]; /* of the list being read */
	bool seen[KEYS_MAX];
	unsigned problems;
	void (*report)(void *arg, const struct settings_problem *problem);
	void *arg;
	struct error *err;
};

static const char *const port_names[PORT_COUNT] = { "smtp", "submission", "submissions", "pop3", "pop3s", "imap",
	"imaps", "lmtp" };

const char *settings_port_name(enum settings_port port)
{
	return port_names[port];
}

static void problem(struct reading *r, unsigned line, const char *text)
{
	struct settings_problem p = { .path = r->path, .line = line, .text = text };

	if (r->problems++ == 0) {
		if (line > 0)
			(void)error_detail(r->err, ERR_BAD_VALUE, "%s:%u: %s", r->path, line, text);
		else
			(void)error_detail(r->err, ERR_BAD_VALUE, "%s: %s", r->path, text);
	}
	if (r->report != NULL)
		r->report(r->arg, &p);
}

/* ---- unknown names ---- */

static void did_you_mean(struct buffer *text, struct span word, const char *const *names, size_t count)
{
	const char *nearest = value_nearest(word, names, count);

	if (nearest != NULL)
		(void)buffer_printf(text, "; did you mean \"%s\"?", nearest);
}

static bool section_known(struct span name)
{
	for (size_t i = 0; i < setting_section_count; i++) {
		if (span_equal_nocase(name, span_of(setting_sections[i].name)))
			return true;
	}
	return false;
}

static void unknown_section(struct reading *r, struct span name)
{
	const char *names[KEYS_MAX];
	struct buffer text;

	for (size_t i = 0; i < setting_section_count; i++)
		names[i] = setting_sections[i].name;
	buffer_init(&text, TEXT_MAX);
	(void)buffer_printf(&text, "unknown section [%.*s]", SPAN_FMT(span_first(name, 60)));
	did_you_mean(&text, name, names, setting_section_count);
	problem(r, r->line, buffer_text(&text));
	buffer_free(&text);
}

/* The nearest key of the same section; else the section where a key of exactly this name is. */
static void unknown_key(struct reading *r, const char *section, const char *key)
{
	const char *names[KEYS_MAX];
	size_t count = 0;
	const char *elsewhere = NULL;
	struct buffer text;

	for (size_t i = 0; i < setting_count; i++) {
		if (span_equal_nocase(span_of(section), span_of(setting_table[i].section)))
			names[count++] = setting_table[i].key;
		else if (span_equal_nocase(span_of(key), span_of(setting_table[i].key)))
			elsewhere = setting_table[i].section;
	}
	buffer_init(&text, TEXT_MAX);
	(void)buffer_printf(&text, "unknown key \"%.60s\" in %s%.60s%s", key, section[0] ? "[" : "",
	        section[0] ? section : NO_SECTION, section[0] ? "]" : "");
	if (elsewhere != NULL && value_nearest(span_of(key), names, count) == NULL)
		(void)buffer_printf(&text, "; it belongs into [%s]", elsewhere);
	else
		did_you_mean(&text, span_of(key), names, count);
	problem(r, r->line, buffer_text(&text));
	buffer_free(&text);
}

/* ---- values ---- */

static const struct setting *find(const char *section, const char *key)
{
	for (size_t i = 0; i < setting_count; i++) {
		if (span_equal_nocase(span_of(section), span_of(setting_table[i].section)) &&
		        span_equal_nocase(span_of(key), span_of(setting_table[i].key)))
			return &setting_table[i];
	}
	return NULL;
}

static void *member_of(const struct setting *row, struct settings *settings)
{
	return (char *)settings + row->offset;
}

static void set_value(struct reading *r, const struct setting *row, struct span value)
{
	struct buffer why, text;

	buffer_init(&why, TEXT_MAX);
	if (!row->type->parse(row, value, member_of(row, r->out), &why)) {
		buffer_init(&text, TEXT_MAX);
		(void)buffer_printf(
		        &text, "%s = %.*s: expected %s", row->key, SPAN_FMT(span_first(value, 80)), buffer_text(&why));
		problem(r, r->line, buffer_text(&text));
		buffer_free(&text);
	}
	buffer_free(&why);
}

static void problem_key(struct reading *r, const struct setting *row, const char *what)
{
	char text[TEXT_MAX];

	(void)snprintf(text, sizeof(text), "%s: %s", row->key, what);
	problem(r, r->line, text);
}

/* A list goes on in indented lines; anything else stands once, on one line. */
static void take_line(struct reading *r, const struct setting *row, const char *value)
{
	size_t index = (size_t)(row - setting_table);
	int length;

	if (r->continues && !row->type->is_list) {
		problem_key(r, row, "not a list: its value cannot go on in an indented line");
		return;
	}
	if (!r->continues && r->seen[index]) {
		problem_key(r, row, "given twice");
		return;
	}
	r->seen[index] = true;
	if (!row->type->is_list) {
		set_value(r, row, span_of(value));
		return;
	}
	length = r->continues ? (int)strlen(r->value) : 0;
	if (snprintf(r->value + length, sizeof(r->value) - (size_t)length, "%s%s", length > 0 ? " " : "", value) >=
	        (int)sizeof(r->value) - length)
		problem_key(r, row, "too long");
	else
		set_value(r, row, span_of(r->value));
}

static int on_value(void *arg, const char *section, const char *key, const char *value)
{
	struct reading *r = arg;
	const struct setting *row = find(section, key);

	if (row != NULL)
		take_line(r, row, value);
	else if (!r->continues && (section[0] == '\0' || section_known(span_of(section))))
		unknown_key(r, section, key);
	return 1; /* an unknown section was reported where it began */
}

/* ---- lines ---- */

static void look_at_line(struct reading *r, struct span line)
{
	struct span trimmed = span_trim(line), name;

	r->continues = trimmed.len > 0 && trimmed.ptr != line.ptr;
	if (trimmed.len == 0 || trimmed.ptr[0] == ';' || trimmed.ptr[0] == '#' || r->continues)
		return;
	if (span_take_char(&trimmed, '[')) {
		if (!span_take_until(&trimmed, ']', &name))
			problem(r, r->line, "a section needs a ] at its end");
		else if (!section_known(name))
			unknown_section(r, name);
	} else if (memchr(trimmed.ptr, '=', trimmed.len) == NULL && memchr(trimmed.ptr, ':', trimmed.len) == NULL) {
		problem(r, r->line, "neither a [section] nor a `key = value`");
	}
}

/* inih asks for the next line: fgets() over the file in memory. size is inih's own line limit (INI_MAX_LINE, 200). */
static char *next_line(char *out, int size, void *arg)
{
	struct reading *r = arg;
	struct span line;

	if (r->rest.len == 0 || r->problems >= SETTINGS_PROBLEMS_MAX)
		return NULL;
	if (!span_take_until(&r->rest, '\n', &line)) {
		line = r->rest;
		r->rest = SPAN_EMPTY;
	}
	r->line++;
	if (line.len + 2 > (size_t)size || memchr(line.ptr, '\0', line.len) != NULL) {
		char text[TEXT_MAX];
		(void)snprintf(text, sizeof(text),
		        "the line is longer than %d characters (a list may go on in indented lines) or "
		        "has a NUL in it",
		        size - 2);
		problem(r, r->line, text);
		line.len = 0;
	} else {
		look_at_line(r, line);
	}
	memcpy(out, line.ptr, line.len);
	out[line.len] = '\n';
	out[line.len + 1] = '\0';
	return out;
}

/* ---- what only the whole file tells ---- */

/* Our own name in /etc/hosts, with a dot in it: "127.0.1.1 mail.example.org mail". No DNS: it may not be there yet. */
static void complete_hostname(char *hostname, size_t size)
{
	struct buffer hosts;
	struct error ignored;
	struct span rest, line, word, full;

	buffer_init(&hosts, FILE_MAX);
	if (!file_read_path("/etc/hosts", &hosts, &ignored)) {
		buffer_free(&hosts);
		return;
	}
	for (rest = buffer_span(&hosts); span_take_until(&rest, '\n', &line);) {
		bool ours = false;
		full = SPAN_EMPTY;
		(void)settings_take_item(&line, &word); /* the address */
		while (settings_take_item(&line, &word) && word.ptr[0] != '#') {
			ours = ours || span_equal_nocase(word, span_of(hostname));
			if (full.len == 0 && memchr(word.ptr, '.', word.len) != NULL)
				full = word;
		}
		if (ours && value_is_hostname(full) && full.len < size) {
			(void)span_copy(full, hostname, size);
			break;
		}
	}
	buffer_free(&hosts);
}

static void resolve_hostname(struct settings *s)
{
	char *name = s->server.hostname;

	if (name[0] != '\0')
		return;
	if (gethostname(name, SETTINGS_TEXT_MAX - 1) != 0 || !value_is_hostname(span_of(name)))
		(void)snprintf(name, SETTINGS_TEXT_MAX, "localhost");
	if (strchr(name, '.') == NULL)
		complete_hostname(name, SETTINGS_TEXT_MAX);
	for (; *name != '\0'; name++)
		*name = ascii_lower(*name);
}

static void resolve_workers(struct settings *s)
{
	cpu_set_t cores;
	int count = 1;

	if (s->server.workers > 0)
		return;
	if (sched_getaffinity(0, sizeof(cores), &cores) == 0)
		count = CPU_COUNT(&cores);
	s->server.workers = (uint32_t)(count > 4 ? 4 : count < 1 ? 1 : count);
}

static void pair_certificates(struct reading *r)
{
	struct span certificates = span_of(r->out->tls.certificates), keys = span_of(r->out->tls.keys), item;
	size_t certificate_count = 0, key_count = 0;

	while (settings_take_item(&certificates, &item) && certificate_count < SETTINGS_CERTIFICATES_MAX)
		(void)span_copy(item, r->out->tls.pairs[certificate_count++].certificate, SETTINGS_TEXT_MAX);
	while (settings_take_item(&keys, &item) && key_count < SETTINGS_CERTIFICATES_MAX)
		(void)span_copy(item, r->out->tls.pairs[key_count++].key, SETTINGS_TEXT_MAX);
	r->out->tls.pair_count = certificate_count;
	if (certificate_count != key_count)
		problem(r, 0, "[tls] certificate and key must name equally many files, in the same order");
}

static void check_ports(struct reading *r)
{
	const uint32_t *ports = r->out->listen.ports;
	char text[TEXT_MAX];

	for (int i = 0; i < PORT_COUNT; i++) {
		for (int j = i + 1; j < PORT_COUNT; j++) {
			if (ports[i] == 0 || ports[i] != ports[j])
				continue;
			(void)snprintf(text, sizeof(text), "[listen] %s and %s are both port %u", port_names[i],
			        port_names[j], ports[i]);
			problem(r, 0, text);
		}
	}
	if (r->out->tls.pair_count == 0 &&
	        (ports[PORT_SUBMISSIONS] != 0 || ports[PORT_POP3S] != 0 || ports[PORT_IMAPS] != 0))
		problem(r, 0,
		        "[listen] submissions, pop3s and imaps need [tls] certificate and key; without them set all three to 0");
}

/* A queue that gives up before it warns would never warn. */
static void check_queue(struct reading *r)
{
	if (r->out->queue.warn_after > r->out->queue.give_up_after)
		problem(r, 0, "[queue] warn_after must not be longer than give_up_after");
}

static void resolve_sendmail_socket(struct settings *s)
{
	if (s->listen.sendmail_socket[0] == '\0') /* fits: SETTINGS_DATA_DIR_MAX */
		(void)snprintf(s->listen.sendmail_socket, sizeof(s->listen.sendmail_socket), "%.*s/run/sendmail",
		        SETTINGS_DATA_DIR_MAX, s->server.data_dir);
}

/* ---- the doors ---- */

void settings_defaults(struct settings *out)
{
	struct buffer why;

	memset(out, 0, sizeof(*out));
	buffer_init(&why, TEXT_MAX);
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *row = &setting_table[i];
		(void)row->type->parse(row, span_of(row->fallback), member_of(row, out), &why);
	}
	buffer_free(&why);
}

bool settings_load_reporting(const char *path, struct settings *out,
        void (*report)(void *arg, const struct settings_problem *p), void *arg, struct error *err)
{
	struct reading r = { .out = out, .path = path, .report = report, .arg = arg, .err = err };
	struct buffer file;

	CHECK(setting_count < KEYS_MAX);
	settings_defaults(out);
	buffer_init(&file, FILE_MAX);
	if (!file_read_path(path, &file, err)) {
		buffer_free(&file);
		return false;
	}
	r.rest = buffer_span(&file);
	if (span_starts(r.rest, SPAN("\xef\xbb\xbf"))) /* a byte order mark, as some editors write it */
		r.rest = span_skip(r.rest, 3);
	(void)ini_parse_stream(next_line, &r, on_value, &r); /* its own complaints are ours already */
	buffer_free(&file);
	pair_certificates(&r);
	check_ports(&r);
	check_queue(&r);
	resolve_sendmail_socket(out);
	resolve_hostname(out);
	resolve_workers(out);
	return r.problems == 0;
}

bool settings_load(const char *path, struct settings *out, struct error *err)
{
	return settings_load_reporting(path, out, NULL, NULL, err);
}
