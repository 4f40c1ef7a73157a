#include "sasl/scram_keys.h"

#include "base/secret.h"

#include <sodium.h>
#include <string.h>

static void hmac(const uint8_t *key, size_t key_len, struct span text, uint8_t out[SCRAM_HASH_LEN])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, key_len);
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)text.ptr, text.len);
	crypto_auth_hmacsha256_final(&state, out);
	secret_wipe(&state, sizeof(state));
}

static void xor_into(uint8_t out[SCRAM_HASH_LEN], const uint8_t other[SCRAM_HASH_LEN])
{
	for (size_t i = 0; i < SCRAM_HASH_LEN; i++)
		out[i] ^= other[i];
}

/* Hi() of RFC 5802 §2.2. The keyed state is made once and copied: it holds the two compressions that depend on the key alone. */
static void salted_password(struct span password, struct span salt, uint32_t iterations, uint8_t out[SCRAM_HASH_LEN])
{
	static const uint8_t one[4] = { 0, 0, 0, 1 };
	crypto_auth_hmacsha256_state keyed, state;
	uint8_t u[SCRAM_HASH_LEN];

	crypto_auth_hmacsha256_init(&keyed, (const uint8_t *)password.ptr, password.len);
	state = keyed;
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)salt.ptr, salt.len);
	crypto_auth_hmacsha256_update(&state, one, sizeof(one));
	crypto_auth_hmacsha256_final(&state, u);
	memcpy(out, u, SCRAM_HASH_LEN);
	for (uint32_t i = 1; i < iterations; i++) {
		state = keyed;
		crypto_auth_hmacsha256_update(&state, u, sizeof(u));
		crypto_auth_hmacsha256_final(&state, u);
		xor_into(out, u);
	}
	secret_wipe(&keyed, sizeof(keyed));
	secret_wipe(&state, sizeof(state));
	secret_wipe(u, sizeof(u));
}

static void make_all_keys(struct span password, struct span salt, uint32_t iterations,
        uint8_t client_key[SCRAM_HASH_LEN], struct scram_keys *out)
{
	uint8_t salted[SCRAM_HASH_LEN];

	salted_password(password, salt, iterations, salted);
	hmac(salted, sizeof(salted), SPAN("Client Key"), client_key);
	crypto_hash_sha256(out->stored_key, client_key, SCRAM_HASH_LEN);
	hmac(salted, sizeof(salted), SPAN("Server Key"), out->server_key);
	secret_wipe(salted, sizeof(salted));
}

void scram_make_keys(struct span password, struct span salt, uint32_t iterations, struct scram_keys *out)
{
	uint8_t client_key[SCRAM_HASH_LEN];

	make_all_keys(password, salt, iterations, client_key, out);
	secret_wipe(client_key, sizeof(client_key));
}

void scram_make_proof(struct span password, struct span salt, uint32_t iterations, struct span auth_message,
        uint8_t proof[SCRAM_HASH_LEN], struct scram_keys *keys)
{
	uint8_t client_key[SCRAM_HASH_LEN];

	make_all_keys(password, salt, iterations, client_key, keys);
	hmac(keys->stored_key, SCRAM_HASH_LEN, auth_message, proof);
	xor_into(proof, client_key);
	secret_wipe(client_key, sizeof(client_key));
}

void scram_sign(const uint8_t key[SCRAM_HASH_LEN], struct span auth_message, uint8_t out[SCRAM_HASH_LEN])
{
	hmac(key, SCRAM_HASH_LEN, auth_message, out);
}

bool scram_check(const struct scram_keys *keys, struct span auth_message, const uint8_t proof[SCRAM_HASH_LEN],
        uint8_t server_signature[SCRAM_HASH_LEN])
{
	uint8_t client_key[SCRAM_HASH_LEN], stored_key[SCRAM_HASH_LEN];
	bool right;

	/* ClientKey = ClientProof XOR ClientSignature; right when its hash is StoredKey (RFC 5802 §3). */
	hmac(keys->stored_key, SCRAM_HASH_LEN, auth_message, client_key);
	xor_into(client_key, proof);
	crypto_hash_sha256(stored_key, client_key, sizeof(client_key));
	right = secret_equal(stored_key, keys->stored_key, SCRAM_HASH_LEN);
	hmac(keys->server_key, SCRAM_HASH_LEN, auth_message, server_signature);
	secret_wipe(client_key, sizeof(client_key));
	return right;
}
