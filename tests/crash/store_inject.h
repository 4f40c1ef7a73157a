/* tests/crash/store_inject.h — makes the n-th thing that the store asks of the outside fail: a call of SQLite's file layer, an
 * allocation of SQLite's, an allocation or system call of ours (linked with --wrap). One thread. */
#ifndef TEST_STORE_INJECT_H
#define TEST_STORE_INJECT_H

#include <stdbool.h>
#include <stdint.h>

enum inject_mode {
	INJECT_ONCE,     /* the n-th fails, the next ones work */
	INJECT_FOR_GOOD, /* the n-th and all after it fail */
};

void inject_install(void); /* before anything else touches SQLite */
void inject_arm(uint64_t n, enum inject_mode mode, int error_number);
/* No more failures from here. True: something was made to fail; *what names it. */
bool inject_disarm(const char **what);

/* What was done to files since inject_trace_start(), a letter each: w/s write and sync of a WAL, d fdatasync, l link, f fsync. */
void inject_trace_start(void);
const char *inject_trace(void);

#endif
