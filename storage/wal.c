#include "storage/database_private.h"

#include "base/log.h"

#include <string.h>

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

bool wal_cut_failed_commit(struct database *database)
{
	struct wal_index_header header;
	sqlite3_file *wal = NULL;
	sqlite3_int64 keep, size;
	int code;

	if (sqlite3_file_control(database->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) != SQLITE_OK ||
	        wal == NULL || wal->pMethods == NULL)
		return true; /* no WAL is open: nothing was written */
	code = read_index(database->handle, &header) ? SQLITE_OK : SQLITE_IOERR;
	if (code == SQLITE_OK) {
		keep = WAL_HEADER + (sqlite3_int64)header.last_frame *
		                            (WAL_FRAME_HEADER + (header.page_size == 1 ? 65536 : header.page_size));
		code = wal->pMethods->xFileSize(wal, &size);
		if (code == SQLITE_OK && size > keep)
			code = wal->pMethods->xTruncate(wal, keep);
	}
	/* Then only the disk knows: what we said no to may turn up once it works again. */
	if (code != SQLITE_OK)
		LOG(LOG_ERROR, "storage.wal_not_cut", LOG_TEXT("file", database->path), LOG_NUMBER("code", code));
	return code == SQLITE_OK;
}
