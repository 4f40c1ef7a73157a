#include "storage/database_private.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* https://sqlite.org/walformat.html: the WAL is a header, then frames of a header and a page each; the wal-index begins
 * with two equal copies of a header in the byte order of the machine. */
#define WAL_HEADER       32
#define WAL_FRAME_HEADER 24
#define INDEX_VERSION    3007000u
#define INDEX_REGION     32768

struct wal_index_header {
	uint32_t version;
	uint32_t unused;
	uint32_t change;
	uint8_t initialised;
	uint8_t big_endian_checksum;
	uint16_t page_size;
	uint32_t last_frame; /* of the last commit that counts */
	uint32_t page_count;
	uint32_t frame_checksum[2];
	uint32_t salt[2];
	uint32_t checksum[2];
};

/* Through SQLite's own mapping: opening and closing "-shm" ourselves would drop this process's POSIX locks on it. */
static bool read_index(sqlite3 *handle, struct wal_index_header *header)
{
	struct wal_index_header copies[2];
	volatile void *mapped = NULL;
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || file == NULL ||
	        file->pMethods == NULL || file->pMethods->iVersion < 2)
		return false;
	if (file->pMethods->xShmMap(file, 0, INDEX_REGION, 0, &mapped) != SQLITE_OK || mapped == NULL)
		return false;
	memcpy(copies, (const void *)(uintptr_t)mapped, sizeof(copies)); /* nobody writes: we hold the write lock */
	*header = copies[0];
	return memcmp(&copies[0], &copies[1], sizeof(copies[0])) == 0 && header->version == INDEX_VERSION &&
	       header->initialised == 1;
}

void wal_cut_failed_commit(struct database *database)
{
	struct wal_index_header header;
	char wal[DATABASE_PATH_MAX + 8];
	struct stat st;
	off_t keep;
	int fd;

	if (!read_index(database->handle, &header))
		return;
	keep = WAL_HEADER +
	       (off_t)header.last_frame * (WAL_FRAME_HEADER + (header.page_size == 1 ? 65536 : header.page_size));
	snprintf(wal, sizeof(wal), "%s-wal", database->path);
	fd = open(wal, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_size > keep && ftruncate(fd, keep) != 0)
		LOG(LOG_ERROR, "storage.wal_not_cut", LOG_TEXT("file", wal), LOG_NUMBER("errno", errno));
	close(fd);
}
