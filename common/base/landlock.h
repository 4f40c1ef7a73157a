/* common/base/landlock.h — Landlock by raw system calls: Debian 12's headers are older than the kernels we run on, so the
 * constants are here and the kernel is asked what it knows. For sandbox.c only. */
#ifndef BASE_LANDLOCK_H
#define BASE_LANDLOCK_H

#include "base/privileges.h"

/* From now on this thread (and what it starts) opens only what lies below the paths, and sends signals to nobody outside.
 * *abi: what the kernel has, 0 when it has no Landlock: then nothing was done and that is no error. */
bool landlock_enter(const struct sandbox_path *paths, size_t count, int *abi, struct error *err);

#endif
