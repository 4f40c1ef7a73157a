#include "smtpd/outbound/sts_curl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libcurl.so.4" /* the name of its interface since 2006 */

static bool find(void *library, const char *name, void *out, struct error *err)
{
	void *address = dlsym(library, name);

	if (address == NULL)
		return error_detail(err, ERR_UNSUPPORTED, LIBRARY " has no %s", name);
	memcpy(out, &address, sizeof(address)); /* POSIX: what dlsym() finds may be a function */
	return true;
}

bool sts_curl_load(struct sts_curl *out, struct error *err)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL)
		return error_detail(err, ERR_UNSUPPORTED, "%.200s", dlerror());
#define STS_CURL_FIND(name)                                                                                            \
	if (!find(library, "curl_" #name, &out->name, err))                                                            \
		return false;
	STS_CURL_CALLS(STS_CURL_FIND)
#undef STS_CURL_FIND
	return out->global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK || error_set(err, ERR_NO_MEMORY, "out of memory");
}
