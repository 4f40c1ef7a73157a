/* tests/unit/message/imap_value.h — an IMAP list of strings, literals, numbers, NIL and lists as JSON, the way the vectors
 * have it: numbers as strings, octets that are not UTF-8 as \xNN. Fails the test when the text is not such a list. */
#ifndef TESTS_IMAP_VALUE_H
#define TESTS_IMAP_VALUE_H

#include "base/span.h"

#include <jansson.h>

json_t *imap_value(struct span text);

#endif
