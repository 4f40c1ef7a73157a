/* storage/body.h — large bodies as files: accounts/<id>/blobs/<first two digits>/<32 hexadecimal digits>.
 *
 * A file is made durable (data, then its name) before the row that names it; it is removed after the row is gone. So a file
 * without a row is rubbish to collect, and a row without a file is damage. For storage/ only; calls wait for the disk. */
#ifndef STORAGE_BODY_H
#define STORAGE_BODY_H

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>

#define BODY_NAME_LEN 32

struct spool;

struct body_name {
	char text[BODY_NAME_LEN + 1];
};

/* The directory below blobs/ for the files of one commit, so that one sync makes the names of all of them durable. */
struct body_shelf {
	char digits[3]; /* "": not chosen yet */
};
void body_shelf_choose(struct body_shelf *shelf); /* once; again does nothing */
/* Gives a large spool a name in this account: its octets are durable on return, its name after body_shelf_sync(). account_path: accounts/<id>. */
bool body_link(const char *account_path, const struct body_shelf *shelf, struct spool *spool, struct body_name *name,
        struct error *err);
bool body_shelf_sync(const char *account_path, const struct body_shelf *shelf, struct error *err);
void body_remove(const char *account_path, const char *name);
/* The file, checked to be `length` octets long; -1: ERR_DAMAGED (missing or of another length), ERR_IO. */
int body_open(const char *account_path, struct span name, uint64_t length, struct error *err);

#endif
