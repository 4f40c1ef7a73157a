#include "authority.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define DAY (24 * 3600L)

static FILE *open_file(const char *folder, const char *file, const char *ending, const char *how)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.%s", folder, file, ending);
	f = fopen(path, how);
	if (f == NULL)
		fail_msg("%s", path);
	return f;
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(extension);
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
}

static void add_names(X509 *certificate, const char *names)
{
	struct span rest = span_of(names), name;
	char text[1024];
	size_t used = 0;

	while (rest.len > 0) {
		if (!span_take_until(&rest, ' ', &name)) {
			name = rest;
			rest = SPAN_EMPTY;
		}
		used += (size_t)snprintf(
		        text + used, sizeof(text) - used, "%sDNS:%.*s", used > 0 ? "," : "", SPAN_FMT(name));
	}
	if (used > 0)
		add_extension(certificate, NID_subject_alt_name, text);
}

static X509 *read_certificate(const char *folder, const char *file)
{
	FILE *f = open_file(folder, file, "crt", "r");
	X509 *certificate = PEM_read_X509(f, NULL, NULL, NULL);

	fclose(f);
	assert_non_null(certificate);
	return certificate;
}

static EVP_PKEY *read_key(const char *folder, const char *file)
{
	FILE *f = open_file(folder, file, "key", "r");
	EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, NULL);

	fclose(f);
	assert_non_null(key);
	return key;
}

static void write_all(
        const char *folder, const struct certificate_kind *kind, X509 *certificate, X509 *issuer, EVP_PKEY *key)
{
	FILE *f = open_file(folder, kind->file, "crt", "w");

	PEM_write_X509(f, certificate);
	if (issuer != NULL)
		PEM_write_X509(f, issuer);
	fclose(f);
	f = open_file(folder, kind->file, "key", "w");
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
}

static void set_subject(X509 *certificate, const struct certificate_kind *kind)
{
	X509_NAME *subject = X509_get_subject_name(certificate);

	X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)kind->file, -1, -1, 0);
	if (kind->common_name != NULL)
		X509_NAME_add_entry_by_txt(
		        subject, "CN", MBSTRING_ASC, (const unsigned char *)kind->common_name, -1, -1, 0);
}

static void make(const char *folder, const struct certificate_kind *kind, int serial)
{
	X509 *issuer = kind->issuer == NULL ? NULL : read_certificate(folder, kind->issuer);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	EVP_PKEY *signing = kind->issuer == NULL ? key : read_key(folder, kind->issuer);
	X509 *certificate = X509_new();

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
	X509_gmtime_adj(X509_getm_notBefore(certificate), kind->from_days * DAY);
	X509_gmtime_adj(X509_getm_notAfter(certificate), kind->to_days * DAY);
	X509_set_pubkey(certificate, key);
	set_subject(certificate, kind);
	X509_set_issuer_name(certificate, X509_get_subject_name(issuer == NULL ? certificate : issuer));
	add_names(certificate, kind->names);
	if (kind->is_ca)
		add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(X509_sign(certificate, signing, EVP_sha256()) > 0);
	write_all(folder, kind, certificate, issuer, key);
	if (signing != key)
		EVP_PKEY_free(signing);
	EVP_PKEY_free(key);
	X509_free(certificate);
	X509_free(issuer);
}

void authority_make(const char *folder, const struct certificate_kind *kinds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		make(folder, &kinds[i], (int)i + 1);
}

struct span tlsa_of(
        const char *folder, const char *file, uint8_t usage, uint8_t selector, uint8_t matching, uint8_t out[TLSA_MAX])
{
	X509 *certificate = read_certificate(folder, file);
	unsigned char *bytes = NULL;
	unsigned digest_len = 0;
	size_t data_len;
	int len = selector == 0 ? i2d_X509(certificate, &bytes)
	                        : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &bytes);

	assert_in_range(len, 1, TLSA_MAX - 3);
	out[0] = usage;
	out[1] = selector;
	out[2] = matching;
	if (matching == 0)
		memcpy(out + 3, bytes, (size_t)len);
	else
		EVP_Digest(bytes, (size_t)len, out + 3, &digest_len, matching == 1 ? EVP_sha256() : EVP_sha512(), NULL);
	data_len = matching == 0 ? (size_t)len : digest_len;
	OPENSSL_free(bytes);
	X509_free(certificate);
	return span_make(out, 3 + data_len);
}
