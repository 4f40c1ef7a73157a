/* common/base/file.h — whole reads, whole writes and durable names; every call may wait for the disk, so never on the
 * event loop. Interrupted and short calls are continued. Errors by error_errno(). */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buffer.h"
#include "base/error.h"

#include <sys/types.h>

bool file_write_all(int fd, struct span bytes, struct error *err);
bool file_pwrite_all(int fd, struct span bytes, off_t offset, struct error *err);
/* Exactly len bytes at offset; ERR_DAMAGED when the file ends before. */
bool file_pread_all(int fd, void *out, size_t len, off_t offset, struct error *err);
bool file_read_path(const char *path, struct buffer *out, struct error *err); /* all of it, up to out's limit */
bool file_sync(int fd, struct error *err);                            /* fdatasync: data and size are durable on true */
bool file_sync_dir(const char *path, struct error *err);              /* names in the directory are durable on true */
bool file_make_dir(const char *path, mode_t mode, struct error *err); /* true also when it is there already */
/* Writes path.tmp, syncs it, renames it to path, syncs the directory: path is the old or the new text, never half. */
bool file_replace(const char *path, struct span bytes, mode_t mode, struct error *err);

#endif
