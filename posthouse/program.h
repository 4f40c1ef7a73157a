/* posthouse/program.h — where the daemons' programs are, and whether they were replaced since they were started. */
#ifndef POSTHOUSE_PROGRAM_H
#define POSTHOUSE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define PROGRAM_PATH_MAX 1024

struct program_stamp {
	dev_t device;
	ino_t inode;
	struct timespec changed;
};

/* With libexec: DIR/smtpd, or DIR/smtpd/smtpd as meson builds it. Without: beside ourselves in a build tree, else where they are
 * installed. folder: of the build tree, NULL: as the name. False: there is none; out is where it should have been. */
bool program_find(const char *libexec, const char *name, const char *folder, char *out, size_t size);
/* Zeros when it cannot be looked at. */
struct program_stamp program_look(const char *path);
bool program_same(const struct program_stamp *a, const struct program_stamp *b);

#endif
