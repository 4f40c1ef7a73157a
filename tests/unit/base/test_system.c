/* Files, and locking a process in. What a sandbox forbids is tried in a child of its own. */
#include "base/clock.h"
#include "base/file.h"
#include "base/landlock.h"
#include "base/log.h"
#include "base/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#else
#define UNDER_SANITIZER 0
#endif

static char folder[256];

static char *in_folder(const char *name)
{
	static char paths[8][512];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static int make_folder(void **state)
{
	snprintf(folder, sizeof(folder), "%s/posthouse-base-XXXXXX",
	        getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	if (mkdtemp(folder) == NULL)
		return -1;
	return mkdir(in_folder("ours"), 0755) | mkdir(in_folder("ours/sub"), 0755) | mkdir(in_folder("read"), 0755);
}

static int remove_folder(void **state)
{
	static const char *const files[] = { "file", "file.tmp", "secret", "read/text", "ours/sub/linked", "ours/new",
		"ours/moved", "ours/sub/moved" };
	static const char *const folders[] = { "ours/sub", "ours", "read", "made" };

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlink(in_folder(files[i]));
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		rmdir(in_folder(folders[i]));
	return rmdir(folder);
}

/* --- files ------------------------------------------------------------------------------------------------------ */

static void replaced_whole_or_not_at_all(void **state)
{
	struct buffer text;
	struct error err;
	struct stat st;

	buffer_init(&text, 10000);
	assert_true(file_replace(in_folder("file"), SPAN("old"), 0600, &err));
	assert_true(file_replace(in_folder("file"), SPAN("new and longer"), 0600, &err));
	assert_true(file_read_path(in_folder("file"), &text, &err));
	assert_string_equal(buffer_text(&text), "new and longer");
	assert_int_equal(stat(in_folder("file"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(access(in_folder("file.tmp"), F_OK), -1);
	assert_false(file_replace(in_folder("none/file"), SPAN("x"), 0600, &err));
	assert_int_equal(err.code, ERR_IO);
	buffer_free(&text);
	buffer_init(&text, 5);
	assert_false(file_read_path(in_folder("file"), &text, &err));
	assert_int_equal(err.code, ERR_TOO_LARGE);
	buffer_free(&text);
	assert_false(file_read_path(in_folder("none"), &text, &err));
}

static void whole_reads_and_writes(void **state)
{
	int fd = open(in_folder("file"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct error err;
	char out[11] = "";

	assert_true(file_write_all(fd, SPAN("0123456789"), &err));
	assert_true(file_pwrite_all(fd, SPAN("xy"), 4, &err));
	assert_true(file_pread_all(fd, out, 10, 0, &err));
	assert_string_equal(out, "0123xy6789");
	assert_false(file_pread_all(fd, out, 5, 6, &err));
	assert_int_equal(err.code, ERR_DAMAGED);
	assert_true(file_sync(fd, &err) && file_sync_dir(folder, &err));
	close(fd);
	assert_false(file_write_all(-1, SPAN("x"), &err));
	assert_false(file_sync_dir(in_folder("file"), &err));
	assert_true(file_make_dir(in_folder("made"), 0755, &err) && file_make_dir(in_folder("made"), 0755, &err));
	assert_false(file_make_dir(in_folder("file"), 0755, &err));
}

static void a_full_disk_is_told_apart(void **state)
{
	int fd = open("/dev/full", O_WRONLY);
	struct error err;

	if (fd < 0)
		skip();
	assert_false(file_write_all(fd, SPAN("x"), &err));
	assert_int_equal(err.code, ERR_NO_SPACE);
	close(fd);
}

/* --- a child that is locked in ---------------------------------------------------------------------------------- */

/* 0 when `act` returns 0 in a child; else what it returned, or -signal. */
static int in_child(int (*act)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		log_set_level(LOG_ERROR);
		_exit(act());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool enter(void)
{
	struct sandbox_path paths[] = {
		{ in_folder("ours"), SANDBOX_WRITE },
		{ in_folder("read"), SANDBOX_READ },
		{ in_folder("file"), SANDBOX_READ },
		{ in_folder("does/not/exist"), SANDBOX_WRITE },
	};
	struct sandbox_settings settings = { paths, ARRAY_LEN(paths) };
	struct error err;

	if (privileges_drop(NULL, &err) && sandbox_enter(&settings, &err))
		return true;
	fprintf(stderr, "%s %s\n", err.reason, err.detail);
	return false;
}

static bool has_landlock(void)
{
	return syscall(444, NULL, 0, 1u) > 0; /* landlock_create_ruleset(), which version? */
}

static bool opens(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int try_files(void)
{
	int open_before = open(in_folder("secret"), O_RDONLY);
	char byte;

	if (!enter())
		return 1;
	if (opens(in_folder("secret"), O_RDONLY) || opens("/etc/passwd", O_RDONLY) ||
	        opens(folder, O_RDONLY | O_DIRECTORY))
		return 2;
	if (opens(in_folder("read/text"), O_RDWR) || opens(in_folder("read/new"), O_CREAT | O_WRONLY) ||
	        opens(in_folder("file"), O_RDWR) || truncate(in_folder("read/text"), 0) == 0)
		return 3;
	if (!opens(in_folder("read/text"), O_RDONLY) || !opens(in_folder("file"), O_RDONLY))
		return 4;
	if (read(open_before, &byte, 1) != 1) /* what is open stays usable */
		return 5;
	if (link(in_folder("read/text"), in_folder("ours/stolen")) == 0 || symlink("/etc", in_folder("ours/etc")) == 0)
		return 6;
	return 0;
}

/* What the store does: files, directories, rename, and link of an unnamed file into a deeper directory. */
static int try_own_files(void)
{
	struct error err;
	char name[64];
	int fd;

	if (!enter())
		return 1;
	if (!file_replace(in_folder("ours/new"), SPAN("text"), 0600, &err) || !file_sync_dir(in_folder("ours"), &err))
		return 2;
	if (!file_make_dir(in_folder("ours/deep"), 0700, &err) || rmdir(in_folder("ours/deep")) != 0)
		return 3;
	if (rename(in_folder("ours/new"), in_folder("ours/moved")) != 0 ||
	        rename(in_folder("ours/moved"), in_folder("ours/sub/moved")) != 0)
		return 4;
	fd = open(in_folder("ours"), O_TMPFILE | O_RDWR, 0600);
	if (fd < 0)
		return errno == EOPNOTSUPP ? 0 : 5;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, name, AT_FDCWD, in_folder("ours/sub/linked"), AT_SYMLINK_FOLLOW) != 0)
		return 6;
	return 0;
}

static void only_the_named_files_open(void **state)
{
	struct error err;

	assert_true(file_replace(in_folder("secret"), SPAN("secret"), 0600, &err));
	assert_true(file_replace(in_folder("read/text"), SPAN("text"), 0600, &err));
	assert_true(file_replace(in_folder("file"), SPAN("text"), 0600, &err));
	assert_int_equal(in_child(try_own_files), 0);
	if (!has_landlock())
		skip();
	assert_int_equal(in_child(try_files), 0);
}

static int try_no_landlock(void)
{
	struct sandbox_path path = { folder, SANDBOX_READ };
	struct error err;
	int abi = -1;

	if (!landlock_enter(&path, 1, &abi, &err))
		return 1;
	if (abi == 0) /* nothing done, and said so */
		return opens("/etc/passwd", O_RDONLY) ? 0 : 2;
	return opens("/etc/passwd", O_RDONLY) ? 3 : 0;
}

static void landlock_tells_what_it_could_do(void **state)
{
	assert_int_equal(in_child(try_no_landlock), 0);
}

static void *thread_main(void *arg)
{
	*(bool *)arg = true;
	return NULL;
}

static bool starts_a_thread(void)
{
	pthread_t thread;
	bool ran = false;

	return pthread_create(&thread, NULL, thread_main, &ran) == 0 && pthread_join(thread, NULL) == 0 && ran;
}

static bool has_socket(int family, int type)
{
	int fd = socket(family, type, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int try_calls(void)
{
	if (!enter())
		return 1;
	if (execl("/bin/true", "true", (char *)NULL) == 0 || errno != EPERM)
		return 2;
	if (fork() != -1 || ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 || unshare(CLONE_NEWUSER) == 0)
		return 3;
	if (mount("none", folder, "tmpfs", 0, NULL) == 0 || chroot(folder) == 0 || errno != EPERM)
		return 4;
	if (syscall(SYS_io_uring_setup, 1, NULL) != -1 || errno != EPERM)
		return 5;
	if (syscall(SYS_bpf, 0, NULL, 0) != -1 || errno != EPERM || setuid(0) == 0)
		return 6;
	if (has_socket(AF_PACKET, SOCK_RAW) || has_socket(AF_ALG, SOCK_SEQPACKET) || has_socket(AF_VSOCK, SOCK_STREAM))
		return 7;
	if (!has_socket(AF_UNIX, SOCK_SEQPACKET) || !has_socket(AF_INET, SOCK_STREAM) ||
	        !has_socket(AF_INET6, SOCK_DGRAM))
		return 8;
	if (!starts_a_thread() || clock_wall_ms() == 0)
		return 9;
	return 0;
}

static void no_programs_no_namespaces_but_threads(void **state)
{
	if (UNDER_SANITIZER)
		skip();
	assert_int_equal(in_child(try_calls), 0);
}

static int try_signal(void)
{
	return enter() && kill(getppid(), 0) != 0 && errno == EPERM && raise(0) == 0 ? 0 : 1;
}

static void no_signals_to_others(void **state)
{
	if (syscall(444, NULL, 0, 1u) < 6) /* the version that confines signals */
		skip();
	assert_int_equal(in_child(try_signal), 0);
}

/* --- privileges ------------------------------------------------------------------------------------------------- */

static int become_nobody(void)
{
	struct passwd *nobody = getpwnam("nobody");
	struct error err;

	if (nobody == NULL || !privileges_drop("nobody", &err))
		return 1;
	if (getuid() != nobody->pw_uid || geteuid() != nobody->pw_uid || getegid() != nobody->pw_gid)
		return 2;
	if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
		return 3;
	return getgroups(0, NULL) > 1 ? 4 : 0; /* root's groups are gone */
}

static void root_is_left_for_good(void **state)
{
	struct error err;

	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(become_nobody), 0);
	assert_false(privileges_drop("no-such-user-here", &err));
	assert_int_equal(err.code, ERR_BAD_VALUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replaced_whole_or_not_at_all),
		cmocka_unit_test(whole_reads_and_writes),
		cmocka_unit_test(a_full_disk_is_told_apart),
		cmocka_unit_test(only_the_named_files_open),
		cmocka_unit_test(landlock_tells_what_it_could_do),
		cmocka_unit_test(no_programs_no_namespaces_but_threads),
		cmocka_unit_test(no_signals_to_others),
		cmocka_unit_test(root_is_left_for_good),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
