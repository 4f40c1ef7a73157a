#include "net/foreign.h"

#include "base/macros.h"

static const struct {
	struct span word;
	enum foreign_speech speech;
} words[] = {
	{ SPAN("GET"), FOREIGN_HTTP },
	{ SPAN("POST"), FOREIGN_HTTP },
	{ SPAN("HEAD"), FOREIGN_HTTP },
	{ SPAN("PUT"), FOREIGN_HTTP },
	{ SPAN("DELETE"), FOREIGN_HTTP },
	{ SPAN("OPTIONS"), FOREIGN_HTTP },
	{ SPAN("CONNECT"), FOREIGN_HTTP },
	{ SPAN("TRACE"), FOREIGN_HTTP },
	{ SPAN("PATCH"), FOREIGN_HTTP },
	{ SPAN("PRI"), FOREIGN_HTTP }, /* HTTP/2 */
	{ SPAN("HELO"), FOREIGN_SMTP },
	{ SPAN("EHLO"), FOREIGN_SMTP },
	{ SPAN("USER"), FOREIGN_POP3 },
};

bool is_foreign_word(struct span word, unsigned speeches)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if ((words[i].speech & speeches) != 0 && span_equal_nocase(word, words[i].word))
			return true;
	}
	return false;
}
