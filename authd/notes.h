/* authd/notes.h — "last login", written lazily: the newest of each account, together, every NOTES_EVERY_MS at most.
 * A note may be lost in a crash, or when more than NOTES_MAX accounts log in between two writes. Thread: the loop's. */
#ifndef AUTHD_NOTES_H
#define AUTHD_NOTES_H

#include "authd/writer.h"
#include "sasl/auth_client.h"

#define NOTES_MAX      1024
#define NOTES_EVERY_MS 60000

struct notes;

bool notes_new(uv_loop_t *loop, struct writer *writer, struct notes **out, struct error *err);
void notes_add(struct notes *notes, int64_t account_id, enum auth_service service, const char *address);
void notes_flush(struct notes *notes); /* at drain: what there is, now; unless a write is under way */
void notes_close(struct notes *notes); /* its timer; before the loop ends */
void notes_free(struct notes **notes); /* after the loop and the pool have ended */

#endif
