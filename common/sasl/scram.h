/* common/sasl/scram.h — the messages of SCRAM (RFC 5802 §7) and what the server keeps between them.
 * The parsers are pure (any thread); their spans point into the message. */
#ifndef SASL_SCRAM_H
#define SASL_SCRAM_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdint.h>

#define SCRAM_NONCE_MAX    256 /* the client's part */
#define SCRAM_NONCE_OWN    24  /* characters of ours: 18 random bytes in base64 */
#define SCRAM_FIRST_MAX    1400
#define SCRAM_FINAL_MAX    2048
#define SCRAM_PROOF_LEN    32
#define SCRAM_USERNAME_MAX 320

/* gs2-cbind-flag */
enum scram_binding {
	SCRAM_CANNOT_BIND, /* "n" */
	SCRAM_SAW_NO_PLUS, /* "y": it could bind, but thinks that we cannot */
	SCRAM_BINDS,       /* "p=" */
};

struct scram_first {
	enum scram_binding binding;
	struct span binding_name; /* SCRAM_BINDS: cb-name ("tls-exporter"); else empty */
	struct span gs2_header;   /* "n,," or "y,," or "p=...,,", or with an authzid */
	struct span bare;         /* client-first-message-bare */
	struct span authzid;      /* still escaped; empty when there is none */
	struct span username;     /* still escaped */
	struct span nonce;
};

struct scram_final {
	struct span without_proof;
	struct span channel_binding; /* base64 text of c= */
	struct span nonce;
	uint8_t proof[SCRAM_PROOF_LEN];
};

/* What is wrong is a server-error-value (RFC 5802 §7), or NULL when all is well. */
const char *scram_parse_first(struct span in, struct scram_first *out);
const char *scram_parse_final(struct span in, struct scram_final *out);
/* saslname (RFC 5802 §5.1): "=2C" is a comma, "=3D" an equals sign, any other "=" an error. Appends. */
bool scram_unescape(struct span name, struct buffer *out);

/* Between the messages; AuthMessage is built in place: client-first-bare "," server-first "," client-final-without-proof. */
struct scram {
	struct buffer binding; /* what c= must be: the gs2 header, and what the channel binds with in -PLUS */
	struct buffer username;
	struct buffer auth_message;
	struct buffer nonce;    /* the client's and ours */
	struct buffer verifier; /* "v=..." */
};

#endif
