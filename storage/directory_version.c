/* How readers learn without a system call that the directory has changed: a counter in a file that all processes map. */
#include "storage/directory_private.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION_FILE "directory.version"

static bool is_ready(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       ((size_t)st.st_size >= sizeof(uint64_t) || ftruncate(fd, sizeof(uint64_t)) == 0);
}

void directory_version_open(struct directory *directory, const char *data_dir)
{
	char path[DATABASE_PATH_MAX];
	void *map = MAP_FAILED;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/" VERSION_FILE, data_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	if (is_ready(fd))
		map = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	directory->version = map == MAP_FAILED ? NULL : map;
}

void directory_version_close(struct directory *directory)
{
	if (directory->version != NULL)
		munmap(directory->version, sizeof(uint64_t));
	directory->version = NULL;
}

void directory_version_next(struct directory *directory)
{
	if (directory->version != NULL)
		atomic_fetch_add_explicit(directory->version, 1, memory_order_release);
}

bool directory_version(const struct directory *directory, uint64_t *version)
{
	if (directory->version == NULL)
		return false;
	*version = atomic_load_explicit(directory->version, memory_order_acquire);
	return true;
}
