/* config/print.c — the table as an example file, as a manual page, and the values in force as a file. */
#include "config/settings.h"
#include "config/table.h"

#include <string.h>

#define WRAP_AT 96

/* Help text as comment lines of at most WRAP_AT characters, broken at blanks. */
static void comment(struct buffer *out, const char *text)
{
	while (*text != '\0') {
		size_t length = strlen(text);
		if (length > WRAP_AT) {
			length = WRAP_AT;
			while (length > 0 && text[length] != ' ')
				length--;
		}
		(void)buffer_printf(out, "# %.*s\n", (int)length, text);
		text += length;
		while (*text == ' ')
			text++;
	}
}

bool settings_print_example(struct buffer *out)
{
	const char *section = "";

	comment(out,
	        "posthouse.conf - settings of a Posthouse site. Every key is here with its default; remove the # in front of a "
	        "key to change it. Sizes: 50M. Times: 30s, 5m, 2h, 7d. See posthouse.conf(5); `posthouse config check` "
	        "tells what is wrong.");
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *row = &setting_table[i];
		if (strcmp(section, row->section) != 0) {
			section = row->section;
			(void)buffer_printf(out, "\n[%s]\n", section);
		}
		(void)buffer_append_char(out, '\n');
		comment(out, row->help);
		(void)buffer_printf(out, "#%s =%s%s\n", row->key, row->fallback[0] ? " " : "", row->fallback);
	}
	return !out->failed;
}

/* Text into roff: a backslash, a leading dot or quote would be commands; the section sign has a name. */
static void roff(struct buffer *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			(void)buffer_append_text(out, "\\e");
		else if (*text == '-')
			(void)buffer_append_text(out, "\\-");
		else
			(void)buffer_append_char(out, *text);
	}
}

static void manual_entry(const struct setting *row, struct buffer *out)
{
	(void)buffer_append_text(out, ".TP\n.B ");
	roff(out, row->key);
	(void)buffer_printf(out, "\n(%s", row->type->name);
	for (int i = 0; row->choices != NULL && row->choices[i] != NULL; i++)
		(void)buffer_printf(out, "%s%s", i == 0 ? ": " : ", ", row->choices[i]);
	(void)buffer_append_text(out, "; default: ");
	roff(out, row->fallback[0] ? row->fallback : "empty");
	(void)buffer_append_text(out, ")\n");
	roff(out, row->help);
	(void)buffer_append_char(out, '\n');
}

bool settings_print_manual(struct buffer *out)
{
	(void)buffer_append_text(out,
	        ".\\\" Printed by `posthouse config manual` from the table in config/table.c.\n"
	        ".TH POSTHOUSE.CONF 5 \"\" \"Posthouse\" \"Posthouse manual\"\n"
	        ".SH NAME\nposthouse.conf \\- settings of a Posthouse site\n"
	        ".SH SYNOPSIS\n.B " SETTINGS_FILE_DEFAULT "\n"
	        ".SH DESCRIPTION\n"
	        "An INI file: sections in brackets, one\n.I key = value\non a line, comments after # or ;. A line has at most 198 "
	        "characters; lists may go on in\nindented lines. Sizes are numbers with K, M, G or T. Times are numbers with ms, "
	        "s, m, h,\nd or w. A wrong key or value is an error that names its line; nothing is guessed.\n"
	        ".B posthouse config check\ntells what is wrong,\n.B posthouse config show\nprints the values in force. A running "
	        "site reads the file again at\n.B SIGHUP\n(systemctl reload); a file with an error is logged and the old values stay.\n");
	for (size_t s = 0; s < setting_section_count; s++) {
		(void)buffer_printf(out, ".SH [%s]\n", setting_sections[s].name);
		roff(out, setting_sections[s].help);
		(void)buffer_append_char(out, '\n');
		for (size_t i = 0; i < setting_count; i++) {
			if (strcmp(setting_table[i].section, setting_sections[s].name) == 0)
				manual_entry(&setting_table[i], out);
		}
	}
	return buffer_append_text(out, ".SH SEE ALSO\n.BR posthouse (1)\n");
}

bool settings_print(const struct settings *settings, struct buffer *out)
{
	const char *section = "";

	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *row = &setting_table[i];
		if (strcmp(section, row->section) != 0) {
			(void)buffer_printf(out, "%s[%s]\n", section[0] ? "\n" : "", row->section);
			section = row->section;
		}
		(void)buffer_printf(out, "%s = ", row->key);
		(void)row->type->print(row, (const char *)settings + row->offset, out);
		(void)buffer_append_char(out, '\n');
	}
	return !out->failed;
}
