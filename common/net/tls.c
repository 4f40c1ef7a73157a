#include "net/tls.h"

#include "base/check.h"
#include "base/secret.h"
#include "net/tls_internal.h"

#include <stdlib.h>
#include <string.h>

static bool copy_settings(struct tls_context *context, const struct tls_settings *settings, struct error *err)
{
	CHECK(settings->pair_count > 0 && settings->pair_count <= TLS_CERTIFICATES_MAX);
	memcpy(context->policy.secret, settings->secret, TLS_SECRET_LEN);
	if (!span_copy(span_of(settings->alpn), context->policy.alpn, TLS_ALPN_MAX))
		return error_set(err, ERR_TOO_LONG, "the name for ALPN is over %d octets", TLS_ALPN_MAX - 1);
	for (size_t i = 0; i < settings->pair_count; i++) {
		context->pairs[i].certificate = strdup(settings->pairs[i].certificate_path);
		context->pairs[i].key = strdup(settings->pairs[i].key_path);
		context->pair_count = i + 1;
		if (context->pairs[i].certificate == NULL || context->pairs[i].key == NULL)
			return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	return true;
}

static bool load(struct tls_context *context, struct error *err)
{
	/* The digest first: files that change between the two look changed at the next look. */
	if (!tls_certs_digest(context->pairs, context->pair_count, context->digest, err))
		return false;
	context->current = tls_certs_load(&context->policy, context->pairs, context->pair_count, err);
	return context->current != NULL;
}

bool tls_context_new(const struct tls_settings *settings, struct tls_context **out, struct error *err)
{
	struct tls_context *context = calloc(1, sizeof(*context));

	if (context == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	if (!copy_settings(context, settings, err) || !load(context, err)) {
		tls_context_free(&context);
		return false;
	}
	*out = context;
	return true;
}

void tls_context_free(struct tls_context **context_ptr)
{
	struct tls_context *context = *context_ptr;

	if (context == NULL)
		return;
	*context_ptr = NULL;
	tls_context_unwatch(context);
	SSL_CTX_free(context->current); /* sessions hold it as long as they need it */
	for (size_t i = 0; i < context->pair_count; i++) {
		free(context->pairs[i].certificate);
		free(context->pairs[i].key);
	}
	secret_wipe(&context->policy, sizeof(context->policy));
	free(context);
}

SSL *tls_context_ssl(struct tls_context *context)
{
	return SSL_new(context->current);
}
