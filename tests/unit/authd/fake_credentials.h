/* tests/unit/authd/fake_credentials.h — storage/credentials.h in memory, which the test can change, break and slow down. */
#ifndef FAKE_CREDENTIALS_H
#define FAKE_CREDENTIALS_H

#include "storage/credentials.h"

void fake_credentials_reset(void);
/* Adds the account, or changes its password. The keys are made once for each password and kept. */
void fake_credentials_set(int64_t account_id, const char *login, const char *password);
/* The same as a user imported with a ready hash: without SCRAM keys. */
void fake_credentials_import(int64_t account_id, const char *login, const char *password);
void fake_credentials_disable(int64_t account_id, bool disabled);
void fake_credentials_break(bool broken); /* every call fails with ERR_IO */
unsigned fake_credentials_finds(void);    /* rows read so far */
void fake_credentials_break_writes(bool broken);
/* SCRAM keys asked to be added so far; in *added, those that were. */
unsigned fake_credentials_keys(unsigned *added);
unsigned fake_credentials_notes(void); /* last logins written so far */

#endif
