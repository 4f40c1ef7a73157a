#include "base/privileges.h"

#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static bool find_user(const char *user, struct passwd *out, char *text, size_t size, struct error *err)
{
	struct passwd *found = NULL;
	int failed = getpwnam_r(user, out, text, size, &found);

	if (failed != 0)
		return error_errno(err, failed, "getpwnam_r");
	if (found == NULL)
		return error_detail(err, ERR_BAD_VALUE, "no user named %.64s on this machine", user);
	return true;
}

/* Groups first, the user last: afterwards there is no right left to change groups with. */
static bool become(const struct passwd *user, struct error *err)
{
	if (initgroups(user->pw_name, user->pw_gid) != 0)
		return error_errno(err, errno, "initgroups");
	if (setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0)
		return error_errno(err, errno, "setresgid");
	if (setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0)
		return error_errno(err, errno, "setresuid");
	if (setuid(0) == 0 || geteuid() == 0 || getuid() == 0)
		return error_detail(err, ERR_INTERNAL, "root can be regained after becoming %.64s", user->pw_name);
	return true;
}

static bool drop_root(const char *name, struct error *err)
{
	struct passwd user;
	char text[4096];

	if (name == NULL || name[0] == '\0' || strcmp(name, "root") == 0) {
		LOG(LOG_WARNING, "privileges.kept", LOG_TEXT("user", "root"));
		return true;
	}
	if (!find_user(name, &user, text, sizeof(text), err))
		return false;
	if (user.pw_uid == 0)
		return error_detail(err, ERR_BAD_VALUE, "%.64s is another name of root", name);
	return become(&user, err);
}

bool privileges_drop(const char *user, struct error *err)
{
	if (geteuid() == 0 && !drop_root(user, err))
		return false;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return error_errno(err, errno, "PR_SET_NO_NEW_PRIVS");
	return true;
}
