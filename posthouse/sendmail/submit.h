/* posthouse/sendmail/submit.h — hands a letter to the server over its socket, by SMTP (RFC 5321), several transactions when there are many
 * recipients. Blocking, one thread; every wait ends after SUBMIT_WAIT_S. */
#ifndef POSTHOUSE_SENDMAIL_SUBMIT_H
#define POSTHOUSE_SENDMAIL_SUBMIT_H

#include "posthouse/sendmail/letter.h"
#include "posthouse/sendmail/options.h"

#define SUBMIT_WAIT_S      600 /* RFC 5321 §4.5.3.2.6: ten minutes for the answer to the end of data */
#define SUBMIT_AT_ONCE     100 /* recipients of one transaction: RFC 5321 §4.5.3.1.8 */
#define SUBMIT_REPLY_MAX   2048
#define SUBMIT_REPLY_LINES 200

struct submission {
	const struct letter *letter;
	const struct sendmail_options *options;
	const char *hostname;
	const char *sender; /* "" for <> */
	void (*failed)(void *arg, const char *address,
	        const char *reply); /* each recipient that was refused; address NULL: all */
	void *arg;
};

/* The connected socket, or -1: ERR_CLOSED nobody listens, ERR_DENIED this user may not, ERR_TEMPORARY other. */
int submit_connect(const char *path, struct error *err);
/* A sysexits(3) code: EX_OK when every recipient was taken; else that of the first that was not. What goes over the line is shown on
 * standard output with -v. Closes nothing. */
int submit(int fd, const struct submission *submission);
/* The code for a reply: "550 5.1.1 ..." is EX_NOUSER. */
int submit_exit_code(const char *reply);
/* RFC 3461 §4: xtext of a value given by a person. False when out is full. */
bool submit_xtext(struct span value, struct buffer *out);

#endif
