/* tests/unit/authd/fake_credentials.h — storage/credentials.h in memory, which the test can change, break and slow down. */
#ifndef FAKE_CREDENTIALS_H
#define FAKE_CREDENTIALS_H

#include "storage/credentials.h"

void fake_credentials_reset(void);
/* Adds the account, or changes its password. The keys are made once for each password and kept. */
void fake_credentials_set(int64_t account_id, const char *login, const char *password);
void fake_credentials_disable(int64_t account_id, bool disabled);
void fake_credentials_break(bool broken); /* every call fails with ERR_IO */
unsigned fake_credentials_finds(void);    /* rows read so far */
unsigned fake_credentials_notes(void);    /* last logins written so far */

#endif
