/* common/base/check.h — invariants that hold in release builds too.
 *
 * CHECK() logs the place and the condition and aborts; the supervisor restarts the process and the store's
 * transactions keep the mail safe. Never CHECK what a peer, a file, the memory or a full disk can cause: that is a
 * struct error. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

_Noreturn void check_failed(const char *condition, const char *file, int line);

#endif
