#include "net/tls_internal.h"

#include "base/clock.h"
#include "base/secret.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sodium.h>
#include <string.h>

#define TICKET_EPOCH_MS (12LL * 3600 * 1000)
#define TICKET_LIFETIME (24L * 3600) /* seconds: the epoch of issue and the one after */

struct ticket_keys {
	uint8_t name[16];
	uint8_t cipher[32];
	uint8_t mac[32];
};

/* All workers share the secret and the wall clock, so they make the same keys without talking. */
static void derive_keys(const struct tls_policy *policy, int64_t epoch, struct ticket_keys *keys)
{
	static const char label[] = "posthouse TLS session tickets";
	uint8_t bytes[sizeof(*keys)];
	uint8_t message[sizeof(label) + sizeof(epoch) + 1];

	memcpy(message, label, sizeof(label));
	memcpy(message + sizeof(label), &epoch, sizeof(epoch));
	message[sizeof(message) - 1] = 1;
	crypto_generichash(bytes, 48, message, sizeof(message), policy->secret, TLS_SECRET_LEN);
	message[sizeof(message) - 1] = 2;
	crypto_generichash(bytes + 48, 32, message, sizeof(message), policy->secret, TLS_SECRET_LEN);
	memcpy(keys->name, bytes, sizeof(keys->name));
	memcpy(keys->cipher, bytes + 16, sizeof(keys->cipher));
	memcpy(keys->mac, bytes + 48, sizeof(keys->mac));
	secret_wipe(bytes, sizeof(bytes));
}

static bool init_mac(EVP_MAC_CTX *mac, struct ticket_keys *keys)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, keys->mac, sizeof(keys->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]) { "SHA256" }, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int seal(
        struct ticket_keys *keys, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	memcpy(name, keys->name, sizeof(keys->name));
	if (RAND_bytes(iv, 16) != 1 || EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), keys->cipher, iv, NULL) != 1)
		return -1;
	return init_mac(mac, keys) ? 1 : -1;
}

static int unseal(struct ticket_keys *keys, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	if (EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), keys->cipher, iv, NULL) != 1)
		return -1;
	return init_mac(mac, keys) ? 1 : -1;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 good, 2 good but to be renewed, 0 unknown, -1 failure. */
static int on_ticket(
        SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_new)
{
	const struct tls_policy *policy = tls_policy_of(SSL_get_SSL_CTX(ssl));
	int64_t epoch = clock_wall_ms() / TICKET_EPOCH_MS;
	struct ticket_keys keys;
	int result = 0;

	derive_keys(policy, epoch, &keys);
	if (is_new) {
		result = seal(&keys, name, iv, cipher, mac);
	} else if (secret_equal(name, keys.name, sizeof(keys.name))) {
		result = unseal(&keys, iv, cipher, mac);
	} else {
		derive_keys(policy, epoch - 1, &keys);
		if (secret_equal(name, keys.name, sizeof(keys.name)))
			result = unseal(&keys, iv, cipher, mac) == 1 ? 2 : -1;
	}
	secret_wipe(&keys, sizeof(keys));
	return result;
}

void tls_ticket_setup(SSL_CTX *ctx)
{
	/* Nothing is remembered here: any worker can resume any session from its ticket. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, TICKET_LIFETIME);
	SSL_CTX_set_num_tickets(ctx, 1); /* a mail client has one use for it: its next connection */
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}

bool tls_ticket_set_scope(SSL_CTX *ctx, const uint8_t scope[TLS_DIGEST_LEN])
{
	_Static_assert(TLS_DIGEST_LEN <= SSL_MAX_SID_CTX_LENGTH, "OpenSSL takes it");
	return SSL_CTX_set_session_id_context(ctx, scope, TLS_DIGEST_LEN) == 1;
}
