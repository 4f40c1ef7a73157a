/* posthouse/status.h — asking the running server how it is. */
#ifndef POSTHOUSE_STATUS_H
#define POSTHOUSE_STATUS_H

#include "config/settings.h"

#include <jansson.h>

/* The report of report.c, or NULL: ERR_TEMPORARY, nobody answers (not running); ERR_DENIED. The caller decrefs it. */
json_t *status_ask(const struct settings *settings, struct error *err);
bool status_server_runs(const struct settings *settings);

#endif
