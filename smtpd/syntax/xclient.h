/* smtpd/syntax/xclient.h — the arguments of XCLIENT, Postfix's command by which a proxy says who its client is (XCLIENT_README).
 *
 * Grammar only; who may say it is server/cmd_xclient.c's. Any thread. */
#ifndef SMTPD_SYNTAX_XCLIENT_H
#define SMTPD_SYNTAX_XCLIENT_H

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>
#include <sys/socket.h>

#define XCLIENT_ATTRIBUTES "NAME ADDR PORT PROTO HELO LOGIN" /* as EHLO announces them, and no others are taken */
#define XCLIENT_VALUE_MAX  255                               /* octets, decoded */

enum xclient_said {
	XCLIENT_NOT_SAID,
	XCLIENT_UNAVAILABLE, /* [UNAVAILABLE], [TEMPUNAVAIL]: the proxy does not know either */
	XCLIENT_SAID
};

struct xclient_text {
	enum xclient_said said;
	char value[XCLIENT_VALUE_MAX + 1]; /* printable ASCII or UTF-8, without blanks */
};

struct xclient_args {
	enum xclient_said address_said, port_said, proto_said;
	struct sockaddr_storage address;
	uint16_t port;
	bool esmtp; /* PROTO */
	struct xclient_text name, helo, login;
};

/* 1*( SP name "=" xtext ), each name once. ERR_SYNTAX, ERR_BAD_VALUE. */
bool xclient_parse(struct span in, struct xclient_args *out, struct error *err);

#endif
