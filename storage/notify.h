/* storage/notify.h — "this account changed", told to the other processes of the site after a commit.
 *
 * A listener binds a datagram socket <data>/run/notify/<name>; a sender finds them by the directory. It is a hint and may be
 * lost (full socket buffer, a listener just starting): who depends on it also asks PRAGMA data_version now and then.
 * Sending never blocks. Any thread. */
#ifndef STORAGE_NOTIFY_H
#define STORAGE_NOTIFY_H

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>

#define NOTIFY_LISTENERS_MAX 64

struct notifier;

struct notifier *notifier_new(const char *data_dir); /* NULL: out of memory; without the directory it tells nobody */
void notifier_free(struct notifier **notifier);
void notifier_tell(struct notifier *notifier, int64_t account_id, uint64_t modseq);

/* A socket to wait on; -1 and *err. The caller closes it and unlinks the name with notify_forget(). */
int notify_listen(const char *data_dir, struct span name, struct error *err);
void notify_forget(const char *data_dir, struct span name);
/* One waiting hint; false: none. Does not block. */
bool notify_next(int fd, int64_t *account_id, uint64_t *modseq);

#endif
