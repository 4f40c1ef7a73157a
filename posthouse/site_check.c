#include "posthouse/site_check.h"

#include "base/privileges.h"
#include "posthouse/sockets.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX 512
#define DAY_S    86400

/* ---- certificates ---- */

static X509 *read_certificate(const char *path, struct error *err)
{
	FILE *file = fopen(path, "re");
	X509 *certificate;

	if (file == NULL) {
		(void)error_detail(err, ERR_BAD_VALUE, "[tls] certificate %s: %s", path, strerror(errno));
		return NULL;
	}
	certificate = PEM_read_X509(file, NULL, NULL, NULL);
	(void)fclose(file);
	if (certificate == NULL)
		(void)error_detail(err, ERR_BAD_VALUE, "[tls] certificate %s: not a PEM certificate", path);
	ERR_clear_error();
	return certificate;
}

/* A key with a passphrase is an error, not a question: nobody is there to answer. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	return -1;
}

static EVP_PKEY *read_key(const char *path, struct error *err)
{
	FILE *file = fopen(path, "re");
	EVP_PKEY *key;

	if (file == NULL) {
		(void)error_detail(err, ERR_BAD_VALUE, "[tls] key %s: %s%s", path, strerror(errno),
		        errno == EACCES ? " (the service user must be able to read it)" : "");
		return NULL;
	}
	key = PEM_read_PrivateKey(file, NULL, no_passphrase, NULL);
	(void)fclose(file);
	if (key == NULL)
		(void)error_detail(
		        err, ERR_BAD_VALUE, "[tls] key %s: not a PEM private key without a passphrase", path);
	ERR_clear_error();
	return key;
}

/* The leaf of pair i, checked against its key; NULL with *err. The caller frees it. */
static X509 *checked_pair(const struct settings *settings, size_t i, struct error *err)
{
	const char *key_path = settings->tls.pairs[i].key;
	X509 *certificate = read_certificate(settings->tls.pairs[i].certificate, err);
	EVP_PKEY *key = certificate != NULL ? read_key(key_path, err) : NULL;
	bool matches = key != NULL && X509_check_private_key(certificate, key) == 1;

	ERR_clear_error();
	if (key != NULL && !matches)
		(void)error_detail(err, ERR_BAD_VALUE, "[tls] key %s is not the key of %s", key_path,
		        settings->tls.pairs[i].certificate);
	EVP_PKEY_free(key);
	if (!matches) {
		X509_free(certificate);
		return NULL;
	}
	return certificate;
}

bool site_check_tls(const struct settings *settings, struct error *err)
{
	for (size_t i = 0; i < settings->tls.pair_count; i++) {
		X509 *certificate = checked_pair(settings, i, err);
		if (certificate == NULL)
			return false;
		X509_free(certificate);
	}
	return true;
}

/* ---- findings ---- */

static void PRINTF_LIKE(3, 4) found(struct site_findings *findings, bool is_error, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (is_error)
		findings->errors++;
	else
		findings->warnings++;
	findings->report(findings->arg, is_error, text);
}

static void look_at_dates(X509 *certificate, const char *path, struct site_findings *findings)
{
	int days = 0, seconds = 0;

	if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		found(findings, false, "[tls] %s is not valid yet", path);
	if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1)
		return;
	if (days < 0 || seconds < 0)
		found(findings, false, "[tls] %s has expired", path);
	else if (days < CERTIFICATE_WARN_DAYS)
		found(findings, false, "[tls] %s expires in %d days", path, days);
}

static void check_certificates(const struct settings *settings, struct site_findings *findings)
{
	bool named = false;
	struct error err;

	for (size_t i = 0; i < settings->tls.pair_count; i++) {
		X509 *certificate = checked_pair(settings, i, &err);
		if (certificate == NULL) {
			found(findings, true, "%s", err.detail);
			continue;
		}
		look_at_dates(certificate, settings->tls.pairs[i].certificate, findings);
		named = named || X509_check_host(certificate, settings->server.hostname, 0, 0, NULL) == 1;
		X509_free(certificate);
	}
	if (settings->tls.pair_count == 0)
		found(findings, false, "[tls] there is no certificate: nobody can log in from another machine");
	else if (!named)
		found(findings, false, "[tls] no certificate is for %s, which is [server] hostname",
		        settings->server.hostname);
}

static void check_data_dir(const struct settings *settings, struct site_findings *findings)
{
	const char *dir = settings->server.data_dir;
	struct stat info;

	if (stat(dir, &info) != 0) {
		if (errno == ENOENT)
			found(findings, false,
			        "[server] data_dir %s is not there yet; the first `posthouse serve` or `posthouse domain "
			        "add` makes it",
			        dir);
		else
			found(findings, true, "[server] data_dir %s: %s", dir, strerror(errno));
		return;
	}
	if (!S_ISDIR(info.st_mode))
		found(findings, true, "[server] data_dir %s is not a directory", dir);
	else if (info.st_uid != geteuid())
		found(findings, true, "[server] data_dir %s does not belong to the service user", dir);
	else if (access(dir, R_OK | W_OK | X_OK) != 0)
		found(findings, true, "[server] data_dir %s: %s", dir, strerror(errno));
	else if (info.st_mode & 0077)
		found(findings, false, "[server] data_dir %s can be read by other users: chmod 700", dir);
}

void site_check_ports(const struct settings *settings, bool server_runs, struct site_findings *findings)
{
	struct error err;

	/* A running server has its ports; that they are taken says nothing then. */
	for (int i = 0; i < PORT_COUNT && !server_runs; i++) {
		enum settings_port service = (enum settings_port)i;
		if (settings->listen.ports[i] != 0 && !sockets_port_free(settings, service, &err))
			found(findings, true, "[listen] %s: %s", settings_port_name(service), err.reason);
	}
	if (strchr(settings->server.hostname, '.') == NULL)
		found(findings, false,
		        "[server] hostname %s is not a full name like mail.example.org: other servers may refuse it",
		        settings->server.hostname);
}

void site_check_files(const struct settings *settings, struct site_findings *findings)
{
	struct error err;

	if (geteuid() == 0 && getpwnam(settings->server.user) == NULL) {
		found(findings, true, "[server] user %s does not exist: useradd --system %s", settings->server.user,
		        settings->server.user);
		return;
	}
	if (!privileges_drop(settings->server.user, &err)) {
		found(findings, true, "[server] user %s: %s", settings->server.user, err.detail);
		return;
	}
	check_data_dir(settings, findings);
	check_certificates(settings, findings);
}
