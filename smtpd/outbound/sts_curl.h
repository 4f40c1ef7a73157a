/* smtpd/outbound/sts_curl.h — libcurl, loaded when the first policy is fetched and not linked: it and the thirty libraries that come with it
 * take 3 MiB, which a relay without work does without. */
#ifndef SMTPD_OUTBOUND_STS_CURL_H
#define SMTPD_OUTBOUND_STS_CURL_H

#include "base/error.h"

#include <curl/curl.h>

/* The functions of the same names with curl_ before. */
#define STS_CURL_CALLS(X)                                                                                              \
	X(global_init)                                                                                                 \
	X(global_cleanup)                                                                                              \
	X(easy_init)                                                                                                   \
	X(easy_setopt)                                                                                                 \
	X(easy_getinfo)                                                                                                \
	X(easy_strerror)                                                                                               \
	X(easy_cleanup)                                                                                                \
	X(slist_append)                                                                                                \
	X(slist_free_all)                                                                                              \
	X(multi_init)                                                                                                  \
	X(multi_setopt)                                                                                                \
	X(multi_add_handle)                                                                                            \
	X(multi_remove_handle)                                                                                         \
	X(multi_assign)                                                                                                \
	X(multi_socket_action)                                                                                         \
	X(multi_info_read)                                                                                             \
	X(multi_cleanup)

struct sts_curl {
#define STS_CURL_MEMBER(name) __typeof__(curl_##name) *name;
	STS_CURL_CALLS(STS_CURL_MEMBER)
#undef STS_CURL_MEMBER
};

/* Waits for the disk: a worker's thread, one at a time. Stays loaded; global_init() was called, global_cleanup() is the caller's.
 * ERR_UNSUPPORTED: there is no libcurl, or one without these functions. */
bool sts_curl_load(struct sts_curl *out, struct error *err);

#endif
