#include "base/privileges.h"

#include "base/landlock.h"
#include "base/log.h"
#include "base/macros.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

/* --- files ------------------------------------------------------------------------------------------------------ */

/* What libc and the libraries open by themselves, later than at start: character sets (iconv's modules), time zones, name
 * lookup. Nothing here belongs to a site or is secret. */
static const struct sandbox_path system_paths[] = {
	{ "/usr/lib", SANDBOX_READ },
	{ "/usr/share/zoneinfo", SANDBOX_READ },
	{ "/lib", SANDBOX_READ },
	{ "/lib64", SANDBOX_READ },
	{ "/etc/localtime", SANDBOX_READ },
	{ "/etc/ld.so.cache", SANDBOX_READ },
	{ "/etc/hosts", SANDBOX_READ },
	{ "/etc/host.conf", SANDBOX_READ },
	{ "/etc/gai.conf", SANDBOX_READ },
	{ "/etc/nsswitch.conf", SANDBOX_READ },
	{ "/etc/resolv.conf", SANDBOX_READ },
	{ "/etc/services", SANDBOX_READ },
	{ "/dev/urandom", SANDBOX_READ },
#if UNDER_SANITIZER
	{ "/proc", SANDBOX_READ }, /* the leak check at the end reads its own threads and maps there */
#endif
};

static bool confine_files(const struct sandbox_settings *settings, struct error *err)
{
	size_t count = settings->path_count + ARRAY_LEN(system_paths);
	struct sandbox_path *all = calloc(count, sizeof(*all));
	int abi = 0;
	bool ok;

	if (all == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	memcpy(all, system_paths, sizeof(system_paths));
	if (settings->path_count > 0)
		memcpy(all + ARRAY_LEN(system_paths), settings->paths, settings->path_count * sizeof(*all));
	ok = landlock_enter(all, count, &abi, err);
	free(all);
	if (ok && abi == 0)
		LOG(LOG_WARNING, "sandbox.no_landlock",
		        LOG_TEXT("reason", "not in this kernel, files are not confined"));
	return ok;
}

/* --- system calls ----------------------------------------------------------------------------------------------- */

/* No mail daemon makes these; a thief would. All others pass, so that a new libc does not stop the mail. */
static const int forbidden[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(acct),
	SCMP_SYS(quotactl),
	SCMP_SYS(syslog),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(modify_ldt),
	SCMP_SYS(personality),
	SCMP_SYS(lookup_dcookie),
	SCMP_SYS(vhangup),
	SCMP_SYS(setuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setreuid),
	SCMP_SYS(setregid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setresgid),
	SCMP_SYS(setgroups),
	SCMP_SYS(setfsuid),
	SCMP_SYS(setfsgid),
	SCMP_SYS(capset),
};

static int forbid_calls(scmp_filter_ctx filter)
{
	int failed = 0;

	for (size_t i = 0; failed == 0 && i < ARRAY_LEN(forbidden); i++)
		failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), forbidden[i], 0);
	return failed;
}

/* New threads, no new processes. clone3() hides its flags in memory: libc falls back to clone() when it is not there. */
static int forbid_processes(scmp_filter_ctx filter)
{
	int failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	if (failed == 0)
		failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
		        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	return failed;
}

/* Unix, IPv4, IPv6 and netlink (name lookup asks it for the own addresses); no raw packets, no kernel crypto and the rest. */
static int forbid_sockets(scmp_filter_ctx filter)
{
	int failed = seccomp_rule_add(
	        filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_NETLINK));

	for (int family = AF_INET + 1; failed == 0 && family < AF_NETLINK; family++)
		if (family != AF_INET6)
			failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
			        SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family));
	return failed;
}

static bool confine_calls(struct error *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int failed;

	if (filter == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	failed = forbid_calls(filter);
	if (failed == 0)
		failed = forbid_processes(filter);
	if (failed == 0)
		failed = forbid_sockets(filter);
	if (failed == 0)
		failed = seccomp_load(filter);
	seccomp_release(filter);
	if (failed == -EINVAL || failed == -ENOSYS) { /* seccomp(2): not in this kernel */
		LOG(LOG_WARNING, "sandbox.no_seccomp", LOG_TEXT("reason", strerror(-failed)));
		return true;
	}
	return failed == 0 ? true : error_errno(err, -failed, "seccomp");
}

bool sandbox_enter(const struct sandbox_settings *settings, struct error *err)
{
	if (!confine_files(settings, err))
		return false;
	if (UNDER_SANITIZER) { /* they start processes and trace them to look for leaks */
		LOG(LOG_WARNING, "sandbox.no_seccomp", LOG_TEXT("reason", "built with a sanitizer"));
		return true;
	}
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return error_errno(err, errno, "PR_SET_DUMPABLE");
	return confine_calls(err);
}
