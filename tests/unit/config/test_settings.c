/* The config file: what is wrong is named with its line; what is right arrives; what is printed reads back. */
#include "base/file.h"
#include "config/settings.h"
#include "config/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct settings settings, again;
static char path[] = "/tmp/posthouse-settings-XXXXXX";

/* Without TLS the ports that need it have to be off. */
#define NO_TLS "[listen]\nsubmissions=0\npop3s=0\nimaps=0\n"

static void write_file(const char *text, size_t length)
{
	struct error err;

	assert_true(file_replace(path, span_make(text, length), 0600, &err));
}

static void collect(void *arg, const struct settings_problem *problem)
{
	(void)buffer_printf(arg, "%u: %s\n", problem->line, problem->text);
}

/* Every problem, one a line. */
static bool load(const char *text, struct buffer *problems)
{
	struct error err;
	bool ok;

	write_file(text, strlen(text));
	buffer_clear(problems);
	ok = settings_load_reporting(path, &settings, collect, problems, &err);
	assert_true(ok == (problems->len == 0));
	assert_true(ok || err.code == ERR_BAD_VALUE);
	return ok;
}

static const struct wrong_case {
	const char *file;
	const char *problems;
} wrong_cases[] = {
	{ NO_TLS "[server]\nhostnam = x.example\n",
	        "6: unknown key \"hostnam\" in [server]; did you mean \"hostname\"?\n" },
	{ NO_TLS "[sever]\nhostname = x.example\nworkers = 1\n",
	        "5: unknown section [sever]; did you mean \"server\"?\n" },
	{ NO_TLS "[nonsense]\n", "5: unknown section [nonsense]\n" },
	{ NO_TLS "[server]\nmax_recipients = 200\n",
	        "6: unknown key \"max_recipients\" in [server]; it belongs into [smtp]\n" },
	{ "hostname = a.example\n" NO_TLS,
	        "1: unknown key \"hostname\" in (before the first [section]); it belongs into [server]\n" },
	{ NO_TLS "[queue]\nretry = 1m x\n",
	        "6: retry = 1m x: expected 1 to 16 times like 30s or 5m; \"x\" is too much or none\n" },
	{ NO_TLS "[queue]\nretry =\n", "6: retry = : expected at least one time like 5m\n" },
	{ NO_TLS "[queue]\nwarn_after = 6d\n", "0: [queue] warn_after must not be longer than give_up_after\n" },
	{ NO_TLS "[dns]\nforward = 192.0.2.1 ::1@0\n",
	        "6: forward = 192.0.2.1 ::1@0: expected addresses like 192.0.2.1 or 192.0.2.1@5353; \"::1@0\" is none\n" },
	{ NO_TLS "[smtp]\netrn_domains = a.example b_c\n",
	        "6: etrn_domains = a.example b_c: expected domains like example.org; \"b_c\" is none\n" },
	{ NO_TLS "[server]\nhostname = a_b\n", "6: hostname = a_b: expected a host name like mail.example.org\n" },
	{ NO_TLS "[server]\ndata_dir = var\n", "6: data_dir = var: expected a path that begins with /\n" },
	{ NO_TLS "[server]\nuser = a b\n", "6: user = a b: expected the name of a user of this system\n" },
	{ NO_TLS "[server]\nworkers = 17\n", "6: workers = 17: expected a number from 0 to 16\n" },
	{ NO_TLS "[server]\nworkers = -1\n", "6: workers = -1: expected a number from 0 to 16\n" },
	{ NO_TLS "[server]\nlog_level = loud\n", "6: log_level = loud: expected one of error, warning, info, debug\n" },
	{ NO_TLS "[server]\nworkers = 1\nworkers = 2\n", "7: workers: given twice\n" },
	{ NO_TLS "[server]\nworkers = 1\n  2\n",
	        "7: workers: not a list: its value cannot go on in an indented line\n" },
	{ NO_TLS "[server]\nworkers 1\n", "6: neither a [section] nor a `key = value`\n" },
	{ NO_TLS "[server\nworkers = 1\n",
	        "5: a section needs a ] at its end\n6: unknown key \"workers\" in [listen]; it belongs into [server]\n" },
	{ NO_TLS "smtp = 65536\n", "5: smtp = 65536: expected a port from 0 to 65535\n" },
	{ NO_TLS "smtp = 4294967321\n", "5: smtp = 4294967321: expected a port from 0 to 65535\n" },
	{ NO_TLS "addresses = 127.0.0.1 nowhere\n",
	        "5: addresses = 127.0.0.1 nowhere: expected addresses like 192.0.2.1 or 2001:db8::1; \"nowhere\" is none\n" },
	{ NO_TLS "addresses =\n",
	        "5: addresses = : expected at least one address; 0.0.0.0 and :: are all of this machine\n" },
	{ NO_TLS "smtp = 110\n", "0: [listen] smtp and pop3 are both port 110\n" },
	{ NO_TLS "imap = 110\n", "0: [listen] pop3 and imap are both port 110\n" },
	{ "", "0: [listen] submissions, pop3s and imaps need [tls] certificate and key; without them set all three to 0\n" },
	{ "[tls]\ncertificate = /a /b\nkey = /c\n",
	        "0: [tls] certificate and key must name equally many files, in the same order\n" },
	{ NO_TLS "[tls]\ncertificate = a.pem\n",
	        "6: certificate = a.pem: expected paths that begin with /, 255 characters at most; \"a.pem\" is none\n" },
	{ NO_TLS "[smtp]\nmax_message_size = big\n",
	        "6: max_message_size = big: expected a size like 50M, from 64K to 2047M\n" },
	{ NO_TLS "[smtp]\nmax_message_size = 2G\n",
	        "6: max_message_size = 2G: expected a size like 50M, from 64K to 2047M\n" },
	{ NO_TLS "[smtp]\nmax_recipients = 99\n", "6: max_recipients = 99: expected a number from 100 to 10000\n" },
	{ NO_TLS "[smtp]\nidle_timeout = 300\n",
	        "6: idle_timeout = 300: expected a time like 30s or 5m, from 10s to 1h\n" },
	{ NO_TLS "[auth]\nplaintext_on_loopback = perhaps\n",
	        "6: plaintext_on_loopback = perhaps: expected yes or no\n" },
	{ NO_TLS "[limits]\nunlimited_networks = 10.0.0.0/33\n",
	        "6: unlimited_networks = 10.0.0.0/33: expected networks like 192.0.2.0/24 or 2001:db8::/32; \"10.0.0.0/33\" is none\n" },
	/* all of them, not only the first */
	{ NO_TLS "[smtp]\nmax_recipients = 1\n[pop3]\ndelete = maybe\n",
	        "6: max_recipients = 1: expected a number from 100 to 10000\n"
	        "8: delete = maybe: expected one of expunge, trash\n" },
};

static void test_wrong_files(void **state)
{
	struct buffer problems;

	buffer_init(&problems, 64 * KIB);
	for (size_t i = 0; i < ARRAY_LEN(wrong_cases); i++) {
		assert_false(load(wrong_cases[i].file, &problems));
		if (strcmp(buffer_text(&problems), wrong_cases[i].problems) != 0)
			fail_msg("row %zu:\ngot:  %swant: %s", i, buffer_text(&problems), wrong_cases[i].problems);
	}
	buffer_free(&problems);
}

static void test_the_first_problem_is_in_the_error(void **state)
{
	static const char text[] = "\n[server]\nhostnam = x\nworker = 3\n";
	struct error err;
	char want[200];

	write_file(text, sizeof(text) - 1);
	assert_false(settings_load(path, &settings, &err));
	(void)snprintf(
	        want, sizeof(want), "%s:3: unknown key \"hostnam\" in [server]; did you mean \"hostname\"?", path);
	assert_string_equal(err.detail, want);
	assert_false(settings_load("/nonexistent/posthouse.conf", &settings, &err));
	assert_int_equal(err.code, ERR_IO);
}

static void test_long_lines_and_nuls(void **state)
{
	static const char nul[] = "[server]\nworkers = 1\0\n";
	struct buffer problems;
	struct error err;
	char text[400];

	buffer_init(&problems, 64 * KIB);
	(void)snprintf(text, sizeof(text), "%s[limits]\nunlimited_networks = %0*d\n", NO_TLS, 300, 0);
	assert_false(load(text, &problems));
	assert_true(span_starts(buffer_span(&problems), SPAN("6: the line is longer than ")));
	write_file(nul, sizeof(nul) - 1);
	assert_false(settings_load(path, &settings, &err));
	buffer_free(&problems);
}

static void test_right_file(void **state)
{
	static const char text[] =
	        "\xef\xbb\xbf; a comment, after a byte order mark\n# another\n[Server]\nHostName = Mail.Example.ORG ; ours\n"
	        "data_dir = /srv/mail/\nworkers: 3\r\n[listen]\naddresses = 192.0.2.1,\n  2001:db8::1\n\t::1\nsmtp=25\n"
	        "[tls]\ncertificate = /etc/a.pem /etc/b.pem\nkey = /etc/a.key,/etc/b.key\n[smtp]\nmax_message_size = 25M\n"
	        "[pop3]\ndelete = trash\n[auth]\nplaintext_on_loopback = yes\nremember_logins = 0\n";
	struct buffer problems;
	struct span rest, item;
	int count = 0;

	buffer_init(&problems, 64 * KIB);
	if (!load(text, &problems))
		fail_msg("%s", buffer_text(&problems));
	assert_string_equal(settings.server.hostname, "mail.example.org");
	assert_string_equal(settings.server.data_dir, "/srv/mail");
	assert_int_equal(settings.server.workers, 3);
	for (rest = span_of(settings.listen.addresses); settings_take_item(&rest, &item);)
		count++;
	assert_int_equal(count, 3);
	assert_int_equal(settings.tls.pair_count, 2);
	assert_string_equal(settings.tls.pairs[1].certificate, "/etc/b.pem");
	assert_string_equal(settings.tls.pairs[1].key, "/etc/b.key");
	assert_int_equal(settings.smtp.max_message_size, 25 * MIB);
	assert_int_equal(settings.pop3.delete_to, POP3_DELETE_TRASH);
	assert_true(settings.auth.plaintext_on_loopback);
	assert_int_equal(settings.auth.remember_logins, 0);
	assert_int_equal(settings.smtp.max_recipients, 1000); /* not in the file: the default */
	buffer_free(&problems);
}

static void test_defaults(void **state)
{
	struct buffer problems;

	buffer_init(&problems, 64 * KIB);
	assert_true(load(NO_TLS, &problems));
	assert_true(settings.server.workers >= 1 && settings.server.workers <= 4);
	assert_true(settings.server.hostname[0] != '\0');
	assert_int_equal(settings.listen.ports[PORT_IMAPS], 0);
	assert_int_equal(settings.limits.connections_per_address, 20);
	assert_int_equal(settings.limits.connections, 10000);
	assert_int_equal(settings.limits.tls_timeout, 30000);
	buffer_free(&problems);
}

/* A default that its own type refuses would be silently zero. */
static void test_every_default_is_valid(void **state)
{
	struct buffer why;

	assert_true(setting_count < 70);
	buffer_init(&why, KIB);
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *row = &setting_table[i];
		bool ok = row->type->parse(row, span_of(row->fallback), (char *)&settings + row->offset, &why);
		if (!ok)
			fail_msg("%s = %s: %s", row->key, row->fallback, buffer_text(&why));
		assert_true(strlen(row->help) > 10 && strpbrk(row->help, "\"\\\n") == NULL);
	}
	buffer_free(&why);
}

static void test_printed_settings_read_back(void **state)
{
	static const char text[] =
	        "[server]\nhostname=a.example\n[tls]\ncertificate=/a /b\nkey=/c /d\n[store]\ndefault_quota=1536M\n"
	        "[queue]\nretry = 90s 2m\n[dns]\nforward = ::1@5353\n"
	        "[limits]\nlogin_timeout = 90s\nunlimited_networks = 10.0.0.0/8 192.0.2.0/24 2001:db8::/32\n";
	struct buffer printed;
	struct error err;

	write_file(text, sizeof(text) - 1);
	assert_true(settings_load(path, &settings, &err));
	buffer_init(&printed, 64 * KIB);
	assert_true(settings_print(&settings, &printed));
	write_file(buffer_text(&printed), printed.len);
	if (!settings_load(path, &again, &err))
		fail_msg("%s", err.detail);
	assert_memory_equal(&settings.tls.pairs, &again.tls.pairs, sizeof(again.tls.pairs));
	assert_int_equal(again.store.default_quota, 1536ull * MIB);
	assert_int_equal(again.limits.login_timeout, 90000);
	assert_int_equal(again.queue.retry.count, 2);
	assert_int_equal(again.queue.retry.ms[1], 120000);
	assert_string_equal(again.dns.forward, "::1@5353");
	assert_string_equal(again.limits.unlimited_networks, "10.0.0.0/8 192.0.2.0/24 2001:db8::/32");
	buffer_free(&printed);
}

/* Every key of the printed example, uncommented, is accepted: the example teaches nothing wrong. */
static void test_example(void **state)
{
	struct buffer example, kept, file;
	struct span rest, line;
	struct error err;

	buffer_init(&example, 64 * KIB);
	buffer_init(&kept, 64 * KIB);
	buffer_init(&file, 64 * KIB);
	assert_true(settings_print_example(&example));
	assert_true(file_read_path(EXAMPLE, &kept, &err));
	if (!span_equal(buffer_span(&example), buffer_span(&kept)))
		fail_msg(
		        "config/posthouse.conf.example is old: posthouse config example > config/posthouse.conf.example");
	for (rest = buffer_span(&example); span_take_until(&rest, '\n', &line);) {
		if (span_starts(line, SPAN("#")) && !span_starts(line, SPAN("# ")))
			line = span_skip(line, 1);
		(void)buffer_append_span(&file, line);
		(void)buffer_append_char(&file, '\n');
	}
	write_file(buffer_text(&file), file.len);
	assert_false(settings_load(path, &settings, &err)); /* only for want of a certificate */
	if (strstr(err.detail, "need [tls] certificate") == NULL)
		fail_msg("%s", err.detail);
	buffer_free(&example);
	buffer_free(&kept);
	buffer_free(&file);
}

static int make_path(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_files),
		cmocka_unit_test(test_the_first_problem_is_in_the_error),
		cmocka_unit_test(test_long_lines_and_nuls),
		cmocka_unit_test(test_right_file),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_default_is_valid),
		cmocka_unit_test(test_printed_settings_read_back),
		cmocka_unit_test(test_example),
	};

	return cmocka_run_group_tests(tests, make_path, remove_path);
}
