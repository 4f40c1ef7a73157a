#include "posthouse/program.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef POSTHOUSE_LIBEXECDIR
#error "POSTHOUSE_LIBEXECDIR comes from meson.build"
#endif

/* The directory of the running program, without a slash at its end. */
static bool own_dir(char *out, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", out, size - 1);
	char *slash;

	if (length <= 0)
		return false;
	out[length] = '\0';
	slash = strrchr(out, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	return true;
}

/* DIR/NAME, or, as meson builds it, DIR/FOLDER/NAME or DIR/../FOLDER/NAME. */
static bool is_program(
        const char *dir, const char *between, const char *folder, const char *name, char *out, size_t size)
{
	int length = snprintf(out, size, "%s%s%s/%s", dir, between, folder, name);

	return length > 0 && (size_t)length < size && access(out, X_OK) == 0;
}

bool program_find(const char *libexec, const char *name, const char *folder, char *out, size_t size)
{
	char own[PROGRAM_PATH_MAX / 2];

	if (folder == NULL)
		folder = name;
	if (libexec != NULL)
		return is_program(libexec, "/", folder, name, out, size) ||
		       is_program(libexec, "", "", name, out, size);
	return (own_dir(own, sizeof(own)) && is_program(own, "/../", folder, name, out, size)) ||
	       is_program(POSTHOUSE_LIBEXECDIR, "", "", name, out, size);
}

struct program_stamp program_look(const char *path)
{
	struct stat info;

	if (stat(path, &info) != 0)
		return (struct program_stamp) { 0 };
	return (struct program_stamp) { info.st_dev, info.st_ino, info.st_mtim };
}

bool program_same(const struct program_stamp *a, const struct program_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}
