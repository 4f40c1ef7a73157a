/* common/base/privileges.h — dropping root, and locking a process in (design 3).
 *
 * Order in a daemon's main(): read config, open what needs root, privileges_drop(), start nothing yet, sandbox_enter(),
 * then threads and the loop. Each step that the kernel is too old for is logged once and left out; everything else that
 * fails is an error and the process must not go on. */
#ifndef BASE_PRIVILEGES_H
#define BASE_PRIVILEGES_H

#include "base/error.h"

/* As root: becomes `user` (and its groups) for good and sets no_new_privs; NULL, "" and "root" keep root, with a warning.
 * As another user: only no_new_privs. */
bool privileges_drop(const char *user, struct error *err);

enum sandbox_access { SANDBOX_READ, SANDBOX_WRITE /* and read, create, link, remove */ };

struct sandbox_path {
	const char *path; /* a file, or a directory with all below; one that does not exist is left out */
	enum sandbox_access access;
};

struct sandbox_settings {
	/* The only ones that can be opened from now on (Landlock), but for what libc and the libraries read by themselves
	 * (list in sandbox.c). What is open already stays usable. */
	const struct sandbox_path *paths;
	size_t path_count;
};

/* Landlock on the paths; a seccomp filter that forbids exec, ptrace, mounting, modules, new namespaces and other calls that no
 * mail daemon makes; core dumps of secrets off (PR_SET_DUMPABLE 0). Only this thread and those it starts later. Under a
 * sanitizer only Landlock. No new processes, no signals to others; sockets are Unix, IPv4, IPv6 and netlink. */
bool sandbox_enter(const struct sandbox_settings *settings, struct error *err);

#endif
