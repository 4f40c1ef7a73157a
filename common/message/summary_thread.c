#include "message/summary.h"

#include "base/check.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void destroy(void *builder)
{
	struct summary_builder *it = builder;

	summary_builder_free(&it);
}

static void make_key(void)
{
	CHECK(pthread_key_create(&key, destroy) == 0);
}

struct summary_builder *summary_builder_of_thread(void)
{
	struct summary_builder *builder;

	(void)pthread_once(&once, make_key);
	builder = pthread_getspecific(key);
	if (builder == NULL) {
		builder = summary_builder_new();
		if (builder != NULL && pthread_setspecific(key, builder) != 0)
			summary_builder_free(&builder);
	}
	return builder;
}
