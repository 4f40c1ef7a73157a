/* storage/body_names.h — names of body files (body.h) in a sorted list: which are there, which are named by rows. For storage/ only. */
#ifndef STORAGE_BODY_NAMES_H
#define STORAGE_BODY_NAMES_H

#include "storage/body.h"

struct body_names {
	struct body_name *name;
	size_t count, capacity;
};

bool body_names_add(struct body_names *names, const char *text, struct error *err);
void body_names_sort(struct body_names *names); /* before body_names_has() */
bool body_names_has(const struct body_names *names, const struct body_name *name);
void body_names_free(struct body_names *names);

/* The files in <path>/blobs that were last touched before `before_ms`: younger ones may be waiting for their row. */
bool body_names_read(const char *path, int64_t before_ms, struct body_names *names, struct error *err);

#endif
