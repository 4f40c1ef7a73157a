#include "net/tls_internal.h"

#include "base/file.h"
#include "base/log.h"

#include <openssl/err.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* ECDHE and an AEAD first; CBC for what else speaks TLS 1.2. RFC 9325 §4.2 */
#define CIPHERS_TLS12 "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES256:ECDHE+AES128"
#define CIPHERS_TLS13 "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"

struct generation {
	struct tls_policy policy;
	struct tls_names *names;
	SSL_CTX *contexts[TLS_CERTIFICATES_MAX]; /* [0] is the owner of all this and is not counted here */
	size_t count;
};

static int owned_index = -1;      /* in [0]: the generation goes with it */
static int index_in_context = -1; /* in each: sessions hold [0] as well, so it is there as long as they are */
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

/* --- errors ---------------------------------------------------------------------------------------------------- */

void tls_openssl_words(char *out, size_t size)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);

	if (reason == NULL || !span_copy(span_of(reason), out, size))
		(void)span_copy(span_of("unknown"), out, size);
	ERR_clear_error();
}

bool tls_openssl_error(struct error *err, const char *what)
{
	char words[128];

	tls_openssl_words(words, sizeof(words));
	return error_detail(err, ERR_BAD_VALUE, "%.110s: %s", what, words);
}

/* --- a generation ---------------------------------------------------------------------------------------------- */

static void generation_free(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long arg, void *more)
{
	struct generation *generation = ptr;

	if (generation == NULL)
		return;
	for (size_t i = 1; i < generation->count; i++)
		SSL_CTX_free(generation->contexts[i]);
	tls_names_free(generation->names);
	sodium_memzero(&generation->policy, sizeof(generation->policy));
	free(generation);
}

static void make_index(void)
{
	owned_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, generation_free);
	index_in_context = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static struct generation *generation_new(SSL_CTX *owner, const struct tls_policy *policy)
{
	struct generation *generation = calloc(1, sizeof(*generation));

	pthread_once(&index_once, make_index);
	if (generation == NULL)
		return NULL;
	generation->policy = *policy;
	generation->contexts[0] = owner;
	generation->count = 1;
	generation->names = tls_names_new();
	if (generation->names != NULL && SSL_CTX_set_ex_data(owner, owned_index, generation) == 1)
		return generation;
	tls_names_free(generation->names);
	free(generation);
	return NULL;
}

/* --- callbacks of the handshake -------------------------------------------------------------------------------- */

/* RFC 6066 §3; unknown names get the default certificate, so that the peer can say what it misses. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
	struct generation *generation = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	size_t pair = name == NULL ? 0 : tls_names_find(generation->names, span_of(name));

	if (pair != 0)
		SSL_set_SSL_CTX(ssl, generation->contexts[pair]);
	return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301 §3.2. Called only when the client offers something. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *offer,
        unsigned int offer_len, void *arg)
{
	struct generation *generation = arg;
	struct span ours = span_of(generation->policy.alpn);
	struct span rest = span_make(offer, offer_len);

	while (rest.len > 0) {
		struct span name = span_first(span_skip(rest, 1), (unsigned char)rest.ptr[0]);

		if (ours.len > 0 && span_equal(name, ours)) {
			*out = (const unsigned char *)name.ptr;
			*out_len = (unsigned char)name.len;
			return SSL_TLSEXT_ERR_OK;
		}
		rest = span_skip(rest, 1 + name.len);
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
}

/* --- contexts -------------------------------------------------------------------------------------------------- */

static bool set_policy(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	                                 SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_read_ahead(ctx, 1); /* a record's head and body in one read */
	tls_ticket_setup(ctx);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ctx, CIPHERS_TLS12) == 1 && SSL_CTX_set_ciphersuites(ctx, CIPHERS_TLS13) == 1;
}

static SSL_CTX *load_pair(const struct tls_paths *paths, struct error *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	ERR_clear_error();
	if (ctx == NULL || !set_policy(ctx))
		tls_openssl_error(err, "TLS");
	else if (SSL_CTX_use_certificate_chain_file(ctx, paths->certificate) != 1)
		tls_openssl_error(err, paths->certificate);
	else if (SSL_CTX_use_PrivateKey_file(ctx, paths->key, SSL_FILETYPE_PEM) != 1 ||
	         SSL_CTX_check_private_key(ctx) != 1)
		tls_openssl_error(err, paths->key);
	else
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

static bool adopt(struct generation *generation, SSL_CTX *ctx, size_t pair)
{
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, generation);
	return SSL_CTX_set_ex_data(ctx, index_in_context, generation) == 1 &&
	       tls_names_add(generation->names, SSL_CTX_get0_certificate(ctx), pair);
}

static bool add_pair(struct generation *generation, const struct tls_paths *paths, struct error *err)
{
	SSL_CTX *ctx = load_pair(paths, err);

	if (ctx == NULL)
		return false;
	generation->contexts[generation->count] = ctx;
	return adopt(generation, ctx, generation->count++) || error_set(err, ERR_NO_MEMORY, "out of memory");
}

/* A session is resumed only under the certificates it began with, so that what the client once saw is what
 * conn_channel_binding() tells. All names together: which one is meant is known only after the ticket was read. */
static bool scope_tickets(const struct generation *generation)
{
	crypto_generichash_state state;
	uint8_t digest[TLS_DIGEST_LEN];
	unsigned char one[EVP_MAX_MD_SIZE];
	unsigned len;
	bool ok = true;

	crypto_generichash_init(&state, NULL, 0, sizeof(digest));
	for (size_t i = 0; i < generation->count; i++) {
		ok = ok && X509_digest(SSL_CTX_get0_certificate(generation->contexts[i]), EVP_sha256(), one, &len) == 1;
		if (ok)
			crypto_generichash_update(&state, one, len);
	}
	crypto_generichash_final(&state, digest, sizeof(digest));
	for (size_t i = 0; i < generation->count; i++)
		ok = ok && tls_ticket_set_scope(generation->contexts[i], digest);
	return ok;
}

SSL_CTX *tls_certs_load(const struct tls_policy *policy, const struct tls_paths *pairs, size_t count, struct error *err)
{
	SSL_CTX *owner = load_pair(&pairs[0], err);
	struct generation *generation;

	if (owner == NULL)
		return NULL;
	generation = generation_new(owner, policy);
	if (generation == NULL || !adopt(generation, owner, 0)) {
		SSL_CTX_free(owner);
		error_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	SSL_CTX_set_tlsext_servername_callback(owner, on_server_name);
	SSL_CTX_set_tlsext_servername_arg(owner, generation);
	for (size_t i = 1; i < count; i++)
		if (!add_pair(generation, &pairs[i], err)) {
			SSL_CTX_free(owner);
			return NULL;
		}
	if (!scope_tickets(generation)) {
		SSL_CTX_free(owner);
		tls_openssl_error(err, "TLS");
		return NULL;
	}
	return owner;
}

const struct tls_policy *tls_policy_of(SSL_CTX *ctx)
{
	return &((struct generation *)SSL_CTX_get_ex_data(ctx, index_in_context))->policy;
}

/* --- have the files changed? ----------------------------------------------------------------------------------- */

static bool digest_file(crypto_generichash_state *state, const char *path, struct error *err)
{
	struct buffer text;
	uint64_t len;
	bool ok;

	buffer_init(&text, TLS_FILE_MAX);
	ok = file_read_path(path, &text, err);
	len = text.len;
	crypto_generichash_update(state, (const unsigned char *)&len, sizeof(len));
	crypto_generichash_update(state, (const unsigned char *)buffer_text(&text), text.len);
	if (text.data != NULL)
		sodium_memzero(text.data, text.cap);
	buffer_free(&text);
	return ok;
}

bool tls_certs_digest(const struct tls_paths *pairs, size_t count, uint8_t digest[TLS_DIGEST_LEN], struct error *err)
{
	crypto_generichash_state state;
	bool ok = true;

	crypto_generichash_init(&state, NULL, 0, TLS_DIGEST_LEN);
	for (size_t i = 0; i < count; i++)
		ok = digest_file(&state, pairs[i].certificate, err) && digest_file(&state, pairs[i].key, err) && ok;
	crypto_generichash_final(&state, digest, TLS_DIGEST_LEN);
	return ok;
}
