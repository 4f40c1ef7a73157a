/* common/sasl/login.h — the messages of LOGIN (draft-murchison-sasl-login): a name, then a password. Pure; any thread. */
#ifndef SASL_LOGIN_H
#define SASL_LOGIN_H

#include "base/span.h"

bool login_field_ok(struct span field, size_t most); /* not empty, not longer than most, UTF-8 without NUL */

#endif
