/* posthouse/sendmail/main.c — the sendmail command: mail from local programs, cron and scripts, by way of the server's socket.
 *
 * Not setuid: the server learns from the kernel who speaks (SO_PEERCRED). Exit codes are those of sysexits(3). A message that was read
 * and could not be handed over is kept in ~/dead.letter, so nothing is lost silently. */
#include "base/file.h"
#include "base/log.h"
#include "config/settings.h"
#include "config/value.h"
#include "posthouse/sendmail/letter.h"
#include "posthouse/sendmail/options.h"
#include "posthouse/sendmail/submit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define NAME            "posthouse-sendmail"
#define MAILNAME        "/etc/mailname" /* Debian policy §11.6: the domain of addresses without one */
#define MAILNAME_MAX    1024
#define PATH_LEN        4096
#define PIECE           (64 * KIB)
#define ADDRESS_LEN     640
#define DEAD_LETTER_MAX ((off_t)(256 * MIB))
#define SIZE_DEFAULT    (50 * MIB) /* when the config file cannot be read: the server has its own limit */

static struct settings settings; /* large */

struct site {
	const char *socket;
	char hostname[256], domain[256];
	size_t max_size;
};

static int fail(int code, const char *what, const struct error *err)
{
	(void)fprintf(stderr, NAME ": %s%s%s\n", what, what[0] != '\0' ? ": " : "",
	        err->reason[0] != '\0' ? err->reason : error_meaning(err->code));
	return code;
}

/* ---- what the server's config says ---- */

static const char *config_path(const struct sendmail_options *options)
{
	const char *environment = getenv("POSTHOUSE_CONFIG");

	if (options->config != NULL)
		return options->config;
	return environment != NULL && environment[0] != '\0' ? environment : SETTINGS_FILE_DEFAULT;
}

static void read_mailname(struct site *site)
{
	struct buffer text;
	struct error err;
	struct span rest, line;

	buffer_init(&text, MAILNAME_MAX);
	if (file_read_path(MAILNAME, &text, &err)) {
		rest = buffer_span(&text);
		if (!span_take_until(&rest, '\n', &line))
			line = rest;
		line = span_trim(line);
		if (value_is_hostname(line))
			(void)span_copy(line, site->domain, sizeof(site->domain));
	}
	buffer_free(&text);
}

/* A config file that this user may not read is no reason not to send: then the socket is where a package puts it. */
static bool find_site(const struct sendmail_options *options, struct site *site, struct error *err)
{
	static const char usual[] = "/run/posthouse/sendmail";

	if (settings_load(config_path(options), &settings, err)) {
		site->socket = settings.listen.sendmail_socket;
		site->max_size = (size_t)settings.smtp.max_message_size;
		(void)span_copy(span_of(settings.server.hostname), site->hostname, sizeof(site->hostname));
	} else if (err->code != ERR_BAD_VALUE) {
		site->socket = usual;
		site->max_size = SIZE_DEFAULT;
		if (gethostname(site->hostname, sizeof(site->hostname) - 1) != 0 ||
		        !value_is_hostname(span_of(site->hostname)))
			(void)span_copy(SPAN("localhost"), site->hostname, sizeof(site->hostname));
	} else {
		return false;
	}
	(void)span_copy(span_of(site->hostname), site->domain, sizeof(site->domain));
	read_mailname(site);
	return true;
}

/* ---- who sends ---- */

static void user_name(char *name, size_t name_size, char *person, size_t person_size)
{
	const struct passwd *user = getpwuid(getuid());
	struct span gecos = span_of(user != NULL ? user->pw_gecos : NULL);
	size_t comma;

	if (span_find(gecos, ',', &comma))
		gecos = span_first(gecos, comma);
	if (!span_copy(gecos, person, person_size))
		person[0] = '\0';
	if (user != NULL)
		(void)snprintf(name, name_size, "%s", user->pw_name);
	else
		(void)snprintf(name, name_size, "uid%u", getuid());
}

/* One word of the command line. In headers people are forgiven much; here a blank or a line end is somebody's mistake, or an attack. */
static bool is_sound_word(struct span word)
{
	size_t at;

	if (span_find(word, '\r', &at) || span_find(word, '\n', &at))
		return false;
	return !span_find(span_trim(word), ' ', &at) || span_find(word, '<', &at) || span_find(word, ',', &at) ||
	       span_find(word, '(', &at);
}

/* -f in any form that people write: "a@b", "Ann <a@b>", "a", "<>", "". */
static bool find_sender(
        const char *given, const char *user, const char *domain, char *out, size_t size, struct error *err)
{
	struct span text = span_trim(span_of(given != NULL ? given : user));
	struct letter one;
	bool ok;

	out[0] = '\0';
	if (text.len == 0 || span_equal(text, SPAN("<>")))
		return true;
	letter_init(&one, KIB);
	ok = is_sound_word(text) && letter_add_recipients(&one, text, domain, err) && one.recipient_count == 1 &&
	     span_copy(span_of(buffer_text(&one.recipients)), out, size);
	letter_free(&one);
	return ok || error_set(err, ERR_BAD_ADDRESS, "-f: not an address: %.60s", given != NULL ? given : user);
}

/* ---- the message ---- */

static bool read_letter(const struct sendmail_options *options, struct letter *letter, struct error *err)
{
	static char piece[PIECE];
	ssize_t got = 0;

	while (!letter->ended && (got = read(STDIN_FILENO, piece, sizeof(piece))) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, errno, "standard input");
		if (!letter_feed(letter, span_make(piece, (size_t)got), options->ignore_dots, err))
			return false;
	}
	return letter_finish(letter, err);
}

/* In the form of an mbox, so that a mail reader opens it. Only into a file of the user's own. */
static void keep_letter(const struct letter *letter, const char *sender)
{
	const char *home = getenv("HOME");
	char path[PATH_LEN], line[ADDRESS_LEN + 64], date[32];
	time_t now = time(NULL);
	struct tm parts;
	struct stat found;
	struct error err;
	int fd = -1;

	if (letter->text.len == 0 || home == NULL || home[0] != '/')
		return;
	(void)snprintf(path, sizeof(path), "%s/dead.letter", home);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (gmtime_r(&now, &parts) == NULL || strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &parts) == 0)
		date[0] = '\0';
	(void)snprintf(line, sizeof(line), "From %s %s\n", sender[0] != '\0' ? sender : "MAILER-DAEMON", date);
	if (fd >= 0 && fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == geteuid() &&
	        found.st_size < DEAD_LETTER_MAX && file_write_all(fd, span_of(line), &err) &&
	        file_write_all(fd, buffer_span(&letter->text), &err) && file_write_all(fd, SPAN("\n"), &err))
		(void)fprintf(stderr, NAME ": the message is kept in %s\n", path);
	else
		(void)fprintf(stderr, NAME ": and it could not be kept in %s\n", path);
	if (fd >= 0)
		(void)close(fd);
}

static void tell_failed(void *arg, const char *address, const char *reply)
{
	(void)fprintf(stderr, NAME ": %s%s%s\n", address != NULL ? address : "", address != NULL ? ": " : "", reply);
}

static bool add_recipients(
        const struct sendmail_options *options, const struct site *site, struct letter *letter, struct error *err)
{
	for (size_t i = 0; i < options->recipient_count; i++)
		if (!is_sound_word(span_of(options->recipients[i])))
			return error_set(err, ERR_BAD_ADDRESS, "a recipient is not an address");
	for (size_t i = 0; i < options->recipient_count; i++)
		if (!letter_add_recipients(letter, span_of(options->recipients[i]), site->domain, err))
			return false;
	if (options->from_header && !letter_take_recipients(letter, site->domain, err))
		return false;
	return letter->recipient_count > 0 || error_set(err, ERR_SYNTAX, "the message names no recipients");
}

static int connect_failed(const struct site *site, const struct error *err)
{
	(void)fprintf(stderr, NAME ": the mail server cannot be reached at %s: %s%s\n", site->socket, err->reason,
	        err->code == ERR_DENIED ? " (the admin sets listen.sendmail_socket to a place that everybody reaches)"
	                                : "");
	return EX_TEMPFAIL;
}

static int send_letter(const struct sendmail_options *options, const struct site *site, struct letter *letter,
        const char *sender, const char *person)
{
	const struct submission submission = { .letter = letter,
		.options = options,
		.hostname = site->hostname,
		.sender = sender,
		.failed = tell_failed };
	char from[ADDRESS_LEN];
	struct error err;
	int fd, code;

	if (!add_recipients(options, site, letter, &err))
		return fail(err.code == ERR_SYNTAX ? EX_USAGE : EX_DATAERR, "", &err);
	(void)snprintf(from, sizeof(from), "%s", sender);
	if (sender[0] == '\0') {
		(void)snprintf(from, sizeof(from), "MAILER-DAEMON@%s", site->domain);
		person = "";
	}
	if (!letter_add_from(letter, options->full_name != NULL ? options->full_name : person, from, &err))
		return fail(EX_DATAERR, "", &err);
	fd = submit_connect(site->socket, &err);
	if (fd < 0)
		return connect_failed(site, &err);
	code = submit(fd, &submission);
	(void)close(fd);
	return code;
}

static int run_send(const struct sendmail_options *options, const struct site *site)
{
	char user[256], person[256], sender[ADDRESS_LEN] = "";
	struct letter letter;
	struct error err;
	int code;

	user_name(user, sizeof(user), person, sizeof(person));
	letter_init(&letter, site->max_size);
	if (!read_letter(options, &letter, &err))
		code = fail(err.code == ERR_TOO_LARGE ? EX_DATAERR : EX_IOERR, "", &err);
	else if (!find_sender(options->sender, user, site->domain, sender, sizeof(sender), &err))
		code = fail(EX_USAGE, "", &err);
	else
		code = send_letter(options, site, &letter, sender, person);
	if (code != EX_OK)
		keep_letter(&letter, sender);
	letter_free(&letter);
	return code;
}

/* ---- -bs: what comes in goes to the server, what it says goes out ---- */

static bool pass_on(int from, int to)
{
	static char piece[PIECE];
	struct error err;
	ssize_t got;

	do {
		got = read(from, piece, sizeof(piece));
	} while (got < 0 && errno == EINTR);
	return got > 0 && file_write_all(to, span_make(piece, (size_t)got), &err);
}

static int run_smtp(const struct site *site)
{
	struct error err;
	int fd = submit_connect(site->socket, &err);
	struct pollfd fds[2] = { { .fd = fd, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };

	if (fd < 0)
		return connect_failed(site, &err);
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return fail(EX_OSERR, "poll", &err);
		if (fds[1].revents != 0 && !pass_on(STDIN_FILENO, fd)) {
			(void)shutdown(fd, SHUT_WR);
			fds[1].fd = -1;
		}
		if (fds[0].revents != 0 && !pass_on(fd, STDOUT_FILENO))
			break;
	}
	(void)close(fd);
	return EX_OK;
}

/* ---- -bp, -q: the posthouse command, which stands beside this one ---- */

static int run_posthouse(const struct sendmail_options *options, const char *verb, const char *option)
{
	char path[PATH_LEN], config[PATH_LEN];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof("posthouse"));
	char *slash;

	if (length <= 0)
		return EX_OSFILE;
	path[length] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL)
		return EX_OSFILE;
	memcpy(slash + 1, "posthouse", sizeof("posthouse"));
	(void)snprintf(config, sizeof(config), "%s", config_path(options));
	(void)execl(path, path, "--config", config, "queue", verb, option, (char *)NULL);
	(void)fprintf(stderr, NAME ": %s: %s\n", path, strerror(errno));
	return EX_OSFILE;
}

/* A program that is started with standard descriptors closed must not have its socket in their place. */
static void fill_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		(void)close(fd);
}

int main(int argc, char **argv)
{
	struct sendmail_options options;
	struct site site;
	struct error err;

	fill_standard_descriptors();
	(void)signal(SIGPIPE, SIG_IGN);
	log_open(NAME, LOG_ERROR);
	if (!sendmail_options(argc, argv, &options, &err))
		return fail(EX_USAGE, "", &err);
	if (options.mode == SENDMAIL_ALIASES)
		return EX_OK;
	if (options.mode == SENDMAIL_LIST)
		return run_posthouse(&options, "list", NULL);
	if (options.mode == SENDMAIL_RETRY)
		return run_posthouse(&options, "retry", "--all");
	if (!find_site(&options, &site, &err)) {
		(void)fprintf(stderr, NAME ": %s\n", err.detail);
		return EX_CONFIG;
	}
	return options.mode == SENDMAIL_SMTP ? run_smtp(&site) : run_send(&options, &site);
}
