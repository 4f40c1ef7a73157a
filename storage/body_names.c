#include "storage/body_names.h"

#include "storage/database.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool body_names_add(struct body_names *names, const char *text, struct error *err)
{
	if (names->count == names->capacity) {
		size_t capacity = names->capacity == 0 ? 64 : names->capacity * 2;
		struct body_name *bigger = realloc(names->name, capacity * sizeof(*bigger));

		if (bigger == NULL)
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		names->name = bigger;
		names->capacity = capacity;
	}
	snprintf(names->name[names->count++].text, sizeof(names->name->text), "%s", text);
	return true;
}

static int compare_names(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct body_name));
}

void body_names_sort(struct body_names *names)
{
	if (names->count > 1)
		qsort(names->name, names->count, sizeof(*names->name), compare_names);
}

bool body_names_has(const struct body_names *names, const struct body_name *name)
{
	return names->count > 0 &&
	       bsearch(name, names->name, names->count, sizeof(*names->name), compare_names) != NULL;
}

void body_names_free(struct body_names *names)
{
	free(names->name);
	*names = (struct body_names) { .name = NULL };
}

static bool read_dir(
        const char *path, const char *prefix, int64_t before_ms, struct body_names *names, struct error *err)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct stat st;
	bool ok = true;

	if (dir == NULL)
		return error_errno(err, errno, path);
	while (ok && (entry = readdir(dir)) != NULL) {
		if (strlen(entry->d_name) == BODY_NAME_LEN && strncmp(entry->d_name, prefix, 2) == 0 &&
		        fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		        (int64_t)st.st_ctim.tv_sec * 1000 < before_ms)
			ok = body_names_add(names, entry->d_name, err);
	}
	closedir(dir);
	return ok;
}

bool body_names_read(const char *path, int64_t before_ms, struct body_names *names, struct error *err)
{
	char blobs[DATABASE_PATH_MAX + 16], below[DATABASE_PATH_MAX + 32];
	struct dirent *entry;
	bool ok = true;
	DIR *dir;

	snprintf(blobs, sizeof(blobs), "%s/blobs", path);
	dir = opendir(blobs);
	if (dir == NULL)
		return error_errno(err, errno, blobs);
	while (ok && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) != 2)
			continue;
		snprintf(below, sizeof(below), "%s/%.2s", blobs, entry->d_name);
		ok = read_dir(below, entry->d_name, before_ms, names, err);
	}
	closedir(dir);
	return ok;
}
