/* posthouse/site_check.h — what would keep a site from starting, or from being what its admin thinks. Waits for the disk. */
#ifndef POSTHOUSE_SITE_CHECK_H
#define POSTHOUSE_SITE_CHECK_H

#include "base/error.h"
#include "config/settings.h"

#define CERTIFICATE_WARN_DAYS 14

/* Every certificate and key can be read by this user, and they belong together. ERR_BAD_VALUE names the file. */
bool site_check_tls(const struct settings *settings, struct error *err);

struct site_findings {
	void (*report)(void *arg, bool is_error, const char *text);
	void *arg;
	unsigned errors;
	unsigned warnings;
};

/* In this order, since the second may give up root: what needs root, and the rest as the service user. */
void site_check_ports(const struct settings *settings, bool server_runs, struct site_findings *findings);
void site_check_files(const struct settings *settings, struct site_findings *findings);

#endif
