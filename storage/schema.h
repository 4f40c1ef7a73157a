/* storage/schema.h — the SQL of storage/schema/, embedded by the build. Step n takes a file from version n - 1 to n. */
#ifndef STORAGE_SCHEMA_H
#define STORAGE_SCHEMA_H

extern const char schema_mail_1[];
extern const char schema_directory_1[];
extern const char schema_directory_2[];
extern const char schema_auth_1[];
extern const char schema_queue_1[];
extern const char schema_queue_2[];
extern const char schema_relay_1[];
extern const char schema_events_1[];

#endif
