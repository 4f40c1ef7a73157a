/* smtpd/server/reply_for_error.h — what happened (base/error.h), said in SMTP: one table (lesson 12). Any thread. */
#ifndef SMTPD_SERVER_REPLY_FOR_ERROR_H
#define SMTPD_SERVER_REPLY_FOR_ERROR_H

#include "base/error.h"
#include "smtpd/syntax/reply.h"

/* Where it happened; the same error may need other words there. */
enum smtp_stage {
	STAGE_COMMAND,   /* anywhere else */
	STAGE_SENDER,    /* MAIL */
	STAGE_RECIPIENT, /* RCPT */
	STAGE_DATA,      /* from 354 to the end of data */
	STAGE_DELIVERY,  /* after it: judging and storing the message */
	STAGE_LIMIT,     /* at RCPT or after the data: who is logged in has sent enough for today */
	STAGE_COUNT
};

struct smtp_reply reply_for_error(enum smtp_stage stage, enum error_code code);

#endif
