/* The fixture's store: made once in a process. */
#include "fixture.h"

#include "base/check.h"
#include "storage/directory.h"
#include "storage/store.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char dir[64];
static struct store *store;
static struct directory *directory;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void clean_up(void)
{
	store_close(&store);
	directory_close(&directory);
	(void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_dirs(void)
{
	static const char *const names[] = { "accounts", "run", "spool", "spare" };
	char path[96];

	(void)snprintf(dir, sizeof(dir), "/tmp/imapd-test-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		CHECK(mkdir(path, 0700) == 0);
	}
}

static void make_store(void)
{
	struct store_settings settings = { .data_dir = dir };
	struct error err;

	make_dirs();
	CHECK(directory_open(dir, &directory, &err));
	CHECK(directory_add_domain(directory, SPAN("example.test"), &err));
	CHECK(directory_add_account(
	        directory, SPAN("alice@example.test"), SPAN("Alice"), 0, 0, &fake_auth_account, &err));
	CHECK(store_open(&settings, &store, &err));
	CHECK(store_create_account(store, fake_auth_account, &err));
	CHECK(atexit(clean_up) == 0);
}

void place_open_with_store(void)
{
	if (store == NULL)
		make_store();
	place_open(store);
	place.server.directory = directory;
}
