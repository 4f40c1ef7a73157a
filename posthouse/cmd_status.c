/* posthouse/cmd_status.c — `posthouse status`: the server's own report, and beside it what the kernel says of its processes. */
#include "posthouse/status.h"

#include "base/file.h"
#include "posthouse/site.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define REPORT_MAX    (256 * KIB)
#define ANSWER_WAIT_S 5
#define PROC_MAX      (8 * MIB) /* /proc/net/tcp: 150 bytes a connection */
#define PAGE_MAX      65536

static struct settings settings;

/* ---- asking ---- */

static bool connect_to_server(const struct settings *s, int *out, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ANSWER_WAIT_S };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error_errno(err, errno, "socket");
	site_path(s, "run/posthouse.sock", address.sun_path, sizeof(address.sun_path));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
		*out = fd;
		return true;
	}
	if (errno == EACCES)
		(void)error_set(err, ERR_DENIED, "this user may not ask the server");
	else if (errno == ENOENT || errno == ECONNREFUSED)
		(void)error_set(err, ERR_TEMPORARY, "the server is not running; start it: posthouse serve");
	else
		(void)error_errno(err, errno, address.sun_path);
	(void)close(fd);
	return false;
}

json_t *status_ask(const struct settings *s, struct error *err)
{
	struct buffer text;
	char chunk[4096];
	ssize_t got;
	json_t *report;
	int fd = -1;

	if (!connect_to_server(s, &fd, err))
		return NULL;
	buffer_init(&text, REPORT_MAX);
	while ((got = recv(fd, chunk, sizeof(chunk), 0)) > 0 && buffer_append(&text, chunk, (size_t)got))
		;
	(void)close(fd);
	report = json_loadb(buffer_text(&text), text.len, 0, NULL);
	buffer_free(&text);
	if (report == NULL)
		(void)error_set(err, ERR_TEMPORARY, "the server does not answer; try again");
	return report;
}

bool status_server_runs(const struct settings *s)
{
	struct error ignored;
	json_t *report = status_ask(s, &ignored);
	bool runs = report != NULL;

	json_decref(report);
	return runs;
}

/* ---- memory of a process: /proc/PID/smaps_rollup (root only: the daemons are not dumpable), else statm ---- */

static bool kib_of_line(struct span text, const char *name, uint64_t *out)
{
	struct span line;

	while (span_take_until(&text, '\n', &line)) {
		if (!span_take_word(&line, name))
			continue;
		line = span_trim(line);
		return span_take_number64(&line, UINT64_MAX / KIB, out);
	}
	return false;
}

static bool read_proc(const char *path, struct buffer *out)
{
	struct error ignored;

	buffer_clear(out);
	return file_read_path(path, out, &ignored);
}

static void add_memory(json_t *process)
{
	json_int_t pid = json_integer_value(json_object_get(process, "pid"));
	struct buffer text;
	struct span fields;
	char path[64];
	uint64_t value;

	buffer_init(&text, PROC_MAX);
	(void)json_object_set_new(process, "pss", json_null());
	(void)json_object_set_new(process, "rss", json_null());
	(void)snprintf(path, sizeof(path), "/proc/%lld/smaps_rollup", (long long)pid);
	if (pid > 0 && read_proc(path, &text) && kib_of_line(buffer_span(&text), "Pss:", &value))
		(void)json_object_set_new(process, "pss", json_integer((json_int_t)(value * KIB)));
	(void)snprintf(path, sizeof(path), "/proc/%lld/statm", (long long)pid);
	if (pid > 0 && read_proc(path, &text)) {
		fields = buffer_span(&text);
		if (span_take_number64(&fields, INT64_MAX / PAGE_MAX, &value) && span_take_char(&fields, ' ') &&
		        span_take_number64(&fields, INT64_MAX / PAGE_MAX, &value))
			(void)json_object_set_new(
			        process, "rss", json_integer((json_int_t)value * (json_int_t)sysconf(_SC_PAGESIZE)));
	}
	buffer_free(&text);
}

/* ---- connections by service: /proc/net/tcp and tcp6, "  sl  local:PORT remote:PORT ST ...", in hexadecimal ---- */

static bool take_hex(struct span *in, uint32_t *out)
{
	uint32_t value = 0;
	size_t digits = 0;

	for (; digits < 4 && digits < in->len; digits++) {
		unsigned char c = (unsigned char)ascii_lower(in->ptr[digits]);
		if (!ascii_is_digit(c) && (c < 'a' || c > 'f'))
			break;
		value = value * 16 + (uint32_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	*in = span_skip(*in, digits);
	*out = value;
	return digits > 0;
}

/* The local port of an established connection. */
static bool established(struct span line, uint32_t *port)
{
	struct span field;

	line = span_trim(line);
	if (!span_take_until(&line, ':', &field)) /* the number of the line */
		return false;
	line = span_trim(line);
	if (!span_take_until(&line, ':', &field) || !take_hex(&line, port) || !span_take_char(&line, ' ') ||
	        !span_take_until(&line, ' ', &field))
		return false;
	return span_starts(line, SPAN("01 ")); /* TCP_ESTABLISHED */
}

static void count_connections(const char *path, const json_t *ports, json_t *counts)
{
	struct buffer text;
	struct span rest, line;
	uint32_t port;
	const char *name;
	json_t *number;

	buffer_init(&text, PROC_MAX);
	(void)read_proc(path, &text);
	for (rest = buffer_span(&text); span_take_until(&rest, '\n', &line);) {
		if (!established(line, &port))
			continue;
		json_object_foreach((json_t *)(uintptr_t)ports, name, number)
		{
			json_int_t so_far = json_integer_value(json_object_get(counts, name));
			if (json_is_integer(number) && json_integer_value(number) == (json_int_t)port)
				(void)json_object_set_new(counts, name, json_integer(so_far + 1));
		}
	}
	buffer_free(&text);
}

static json_t *connections(const json_t *ports)
{
	json_t *counts = json_object(), *number;
	const char *name;

	json_object_foreach((json_t *)(uintptr_t)ports, name, number)
	{
		if (json_is_integer(number))
			(void)json_object_set_new(counts, name, json_integer(0));
	}
	count_connections("/proc/net/tcp", ports, counts);
	count_connections("/proc/net/tcp6", ports, counts);
	return counts;
}

/* ---- showing ---- */

static const struct column site_columns[] = {
	{ "state", "State", COLUMN_TEXT },
	{ "uptime_ms", "Up", COLUMN_DURATION },
	{ "pid", "Process", COLUMN_NUMBER },
	{ "version", "Version", COLUMN_TEXT },
	{ "hostname", "Host name", COLUMN_TEXT },
	{ "config", "Config file", COLUMN_TEXT },
	{ "data_dir", "Data directory", COLUMN_TEXT },
};

static const struct column process_columns[] = {
	{ "name", "PROCESS", COLUMN_TEXT },
	{ "worker", "WORKER", COLUMN_NUMBER },
	{ "pid", "PID", COLUMN_NUMBER },
	{ "state", "STATE", COLUMN_TEXT },
	{ "uptime_ms", "UP", COLUMN_DURATION },
	{ "restarts", "RESTARTS", COLUMN_NUMBER },
	{ "pss", "MEMORY (PSS)", COLUMN_SIZE },
	{ "rss", "MEMORY (RSS)", COLUMN_SIZE },
};

static const struct column port_columns[] = {
	{ "service", "SERVICE", COLUMN_TEXT },
	{ "port", "PORT", COLUMN_NUMBER },
	{ "connections", "CONNECTIONS", COLUMN_NUMBER },
};

static json_t *port_rows(const json_t *ports, const json_t *counts)
{
	json_t *rows = json_array(), *port;
	const char *name;

	json_object_foreach((json_t *)(uintptr_t)ports, name, port)
	{
		if (json_is_integer(port))
			(void)json_array_append_new(rows, json_pack("{s:s, s:O, s:O}", "service", name, "port", port,
			                                          "connections", json_object_get(counts, name)));
	}
	return rows;
}

static enum exit_code show(json_t *report)
{
	json_t *processes = json_incref(json_object_get(report, "processes"));
	json_t *rows = port_rows(json_object_get(report, "ports"), json_object_get(report, "connections"));
	enum exit_code code = output_object(report, site_columns, ARRAY_LEN(site_columns), false);

	if (code == CLI_OK)
		code = output_text("\n");
	if (output_list(processes, process_columns, ARRAY_LEN(process_columns), false) != CLI_OK ||
	        output_text("\n") != CLI_OK ||
	        output_list(rows, port_columns, ARRAY_LEN(port_columns), false) != CLI_OK)
		code = CLI_FAILED;
	return code;
}

enum exit_code cmd_status(struct cli *cli)
{
	struct error err;
	json_t *report, *process;
	size_t at;
	enum exit_code code = site_load(cli, &settings);

	if (code != CLI_OK)
		return code;
	report = status_ask(&settings, &err);
	if (report == NULL)
		return cli_error("status", &err);
	json_array_foreach(json_object_get(report, "processes"), at, process) add_memory(process);
	(void)json_object_set_new(report, "connections", connections(json_object_get(report, "ports")));
	if (cli->options[OPT_JSON] != NULL)
		return output_object(report, NULL, 0, true);
	return show(report);
}
