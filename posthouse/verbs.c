/* posthouse/verbs.c — the one table of commands. Help, usage lines, the manual page and the shell completion come from it. */
#include "posthouse/cli.h"

#define ANY     CLI_WORDS_MAX
#define FILTERS (OPTION(OPT_SENDER) | OPTION(OPT_RECIPIENT) | OPTION(OPT_HELD) | OPTION(OPT_OLDER_THAN))
#define CHANGES (FILTERS | OPTION(OPT_ALL) | OPTION(OPT_JSON))

/* clang-format off: a table is read by columns */
const struct cli_option_row cli_options[OPT_COUNT] = {
	[OPT_CONFIG] = { "--config", "FILE",
	        "Config file; else $POSTHOUSE_CONFIG, else /etc/posthouse/posthouse.conf." },
	[OPT_HELP] = { "--help", NULL, "Show how the command is used." },
	[OPT_JSON] = { "--json", NULL, "Print JSON instead of a table." },
	[OPT_PASSWORD_STDIN] = { "--password-stdin", NULL,
	        "Read the password from the first line of standard input instead of asking." },
	[OPT_NAME] = { "--name", "NAME", "The person's name." },
	[OPT_QUOTA] = { "--quota", "SIZE", "The most that the user may store, like 2G; 0: no limit." },
	[OPT_QUOTA_MESSAGES] = { "--quota-messages", "NUMBER",
	        "The most messages that the user may store; 0: no limit." },
	[OPT_LIBEXEC] = { "--libexec", "DIR", "Where authd, smtpd, pop3d and imapd are." },
	[OPT_REPAIR] = { "--repair", NULL, "Put right what can be put right without losing mail." },
	[OPT_DOMAIN] = { "--domain", "DOMAIN", "Only this domain." },
	[OPT_SENDER] = { "--sender", "ADDRESS",
	        "Only from this sender, or from @DOMAIN; <> is the sender of reports." },
	[OPT_RECIPIENT] = { "--recipient", "ADDRESS", "Only to this recipient, or to @DOMAIN." },
	[OPT_HELD] = { "--held", NULL, "Only what is held." },
	[OPT_OLDER_THAN] = { "--older-than", "DURATION",
	        "Only what was taken in longer ago than this, like 4h or 2d." },
	[OPT_ALL] = { "--all", NULL, "The whole queue." },
	[OPT_LIMIT] = { "--limit", "NUMBER", "Show at most so many; 50 if nothing is said." },
	[OPT_PAGE] = { "--page", "NUMBER", "Which page of a long list, from 1." },
	[OPT_MESSAGE] = { "--message", NULL, "Print the message itself, as it will be sent." },
	[OPT_LAST] = { "--last", "DURATION", "Only what happened in this time, like 1h." },
	[OPT_VIA] = { "--via", "WHERE",
	        "HOST[:PORT], lmtp:HOST:PORT, lmtp:/PATH of a socket, or mx: as the DNS says." },
	[OPT_TLS] = { "--tls", "LEVEL",
	        "none: no TLS; may: if it is offered; encrypt: or not at all; verify: with a certificate that is right, or not at all." },
	[OPT_IMPLICIT_TLS] = { "--implicit-tls", NULL, "TLS from the first byte, as on port 465." },
	[OPT_USER] = { "--user", "NAME", "Log in there by this name; the password is asked for." },
	[OPT_FILE_SENT] = { "--file-sent", "YES|NO", "File a copy of what the user sends in Sent." },
	[OPT_DETAIL_FOLDERS] = { "--detail-folders", "YES|NO",
	        "Put mail to user+name@ into the mailbox `name` where there is one." },
	[OPT_UNDO] = { "--undo", "DURATION",
	        "Let what the user sends wait so long, up to 1h; default: as the config file says." },
	[OPT_RECIPIENTS_A_DAY] = { "--recipients-a-day", "NUMBER",
	        "The most recipients elsewhere in a day; 0: no limit; default: as the config file says." },
	[OPT_NEW_RECIPIENTS_A_DAY] = { "--new-recipients-a-day", "NUMBER",
	        "The same for recipients to whom the user never wrote before." },
};

const struct verb verbs[] = {
	{ "serve", NULL, "", 0, 0, OPTION(OPT_LIBEXEC),
	        "Run the mail server in the foreground. TERM drains and ends it, HUP reads the config file again.",
	        cmd_serve },
	{ "status", NULL, "", 0, 0, OPTION(OPT_JSON),
	        "Show the processes of the running server: since when, how often restarted, memory, connections.",
	        cmd_status },

	{ "domain", "add", "DOMAIN...", 1, ANY, 0, "Take in mail for these domains.", cmd_domain_add },
	{ "domain", "list", "", 0, 0, OPTION(OPT_JSON), "List the domains with their numbers of users and aliases.",
	        cmd_domain_list },
	{ "domain", "remove", "DOMAIN...", 1, ANY, 0, "Give up domains that have no users left.", cmd_domain_remove },

	{ "user", "add", "ADDRESS", 1, 1,
	        OPTION(OPT_NAME) | OPTION(OPT_QUOTA) | OPTION(OPT_QUOTA_MESSAGES) | OPTION(OPT_PASSWORD_STDIN),
	        "Add a user, who can log in at once. The address is the login name.", cmd_user_add },
	{ "user", "list", "", 0, 0, OPTION(OPT_JSON) | OPTION(OPT_DOMAIN), "List the users.", cmd_user_list },
	{ "user", "show", "ADDRESS", 1, 1, OPTION(OPT_JSON),
	        "Show one user with what is stored and in which mailboxes.", cmd_user_show },
	{ "user", "password", "ADDRESS", 1, 1, OPTION(OPT_PASSWORD_STDIN), "Set a new password.", cmd_user_password },
	{ "user", "quota", "ADDRESS", 1, 1, OPTION(OPT_QUOTA) | OPTION(OPT_QUOTA_MESSAGES),
	        "Change what a user may store.", cmd_user_quota },
	{ "user", "set", "ADDRESS", 1, 1,
	        OPTION(OPT_FILE_SENT) | OPTION(OPT_DETAIL_FOLDERS) | OPTION(OPT_UNDO) | OPTION(OPT_RECIPIENTS_A_DAY) |
	                OPTION(OPT_NEW_RECIPIENTS_A_DAY),
	        "Change how a user's mail is handled; what is not named stays as it is.", cmd_user_set },
	{ "user", "disable", "ADDRESS...", 1, ANY, 0, "No logins any more; mail is still taken in.", cmd_user_disable },
	{ "user", "enable", "ADDRESS...", 1, ANY, 0, "Logins again.", cmd_user_enable },
	{ "user", "remove", "ADDRESS...", 1, ANY, 0, "Remove users with all their mail.", cmd_user_remove },
	{ "user", "import", "FILE", 1, 1, 0,
	        "Add users from a CSV file (- is standard input) with lines of address,name,password,quota. A password may be an Argon2 hash "
	        "($argon2id$...). Wrong lines are named and left out; users that exist are left as they are.",
	        cmd_user_import },

	{ "alias", "add", "ALIAS ADDRESS...", 2, ANY, 0,
	        "Let mail to ALIAS go to these addresses, here or elsewhere; *@DOMAIN is what no other address of the domain takes.",
	        cmd_alias_add },
	{ "alias", "list", "", 0, 0, OPTION(OPT_JSON) | OPTION(OPT_DOMAIN), "List the aliases.", cmd_alias_list },
	{ "alias", "remove", "ALIAS [ADDRESS...]", 1, ANY, 0, "Remove an alias, or only these of its addresses.",
	        cmd_alias_remove },

	{ "queue", "list", "[TRACE]", 0, 1, FILTERS | OPTION(OPT_LIMIT) | OPTION(OPT_PAGE) | OPTION(OPT_JSON),
	        "List what waits to be sent on, a line for each recipient, the oldest first.", cmd_queue_list },
	{ "queue", "show", "TRACE", 1, 1, OPTION(OPT_MESSAGE) | OPTION(OPT_JSON),
	        "Show all about one message that waits: where it goes, what was answered, what is next.",
	        cmd_queue_show },
	{ "queue", "retry", "[TRACE...]", 0, ANY, CHANGES, "Try again at once. What is held stays held.",
	        cmd_queue_retry },
	{ "queue", "hold", "[TRACE...]", 0, ANY, CHANGES, "Keep back until it is released.", cmd_queue_hold },
	{ "queue", "release", "[TRACE...]", 0, ANY, CHANGES, "Let go what was held, at once.", cmd_queue_release },
	{ "queue", "drop", "[TRACE...]", 0, ANY, CHANGES,
	        "Remove from the queue for good. Nobody is told: neither the sender nor the recipient.",
	        cmd_queue_drop },
	{ "queue", "reroute", "DOMAIN [TRACE...]", 1, ANY, CHANGES,
	        "Send by the way that mail for DOMAIN goes, what failed before at once; the addresses stay as they are.",
	        cmd_queue_reroute },

	{ "explain", NULL, "[MESSAGE-ID | ADDRESS | TRACE]", 0, 1,
	        OPTION(OPT_LAST) | OPTION(OPT_LIMIT) | OPTION(OPT_JSON),
	        "Tell the story of messages, in order: who brought them, what was decided, what other servers said, what is next.",
	        cmd_explain },

	{ "route", "add", "MATCH", 1, 1,
	        OPTION(OPT_VIA) | OPTION(OPT_TLS) | OPTION(OPT_IMPLICIT_TLS) | OPTION(OPT_USER) |
	                OPTION(OPT_PASSWORD_STDIN),
	        "Say where mail goes, instead of where the DNS says. MATCH: DOMAIN; .DOMAIN for all below it; from:DOMAIN for what "
	        "senders of that domain write; '*' for all other mail. The first of these that fits decides. "
	        "A route that is there is replaced.",
	        cmd_route_add },
	{ "route", "list", "", 0, 0, OPTION(OPT_JSON), "List the routes. Passwords are never shown.", cmd_route_list },
	{ "route", "remove", "MATCH...", 1, ANY, 0, "Remove routes.", cmd_route_remove },

	{ "check", NULL, "[ADDRESS...]", 0, ANY, OPTION(OPT_REPAIR) | OPTION(OPT_JSON),
	        "Verify the whole store or these users: integrity, counters, bodies, leftovers. Safe while the server runs.",
	        cmd_check },

	{ "config", "check", "", 0, 0, OPTION(OPT_JSON),
	        "Find mistakes in the config file, and what would keep the server from starting with it.",
	        cmd_config_check },
	{ "config", "show", "", 0, 0, 0, "Print the values in force, defaults included.", cmd_config_show },
	{ "config", "example", "", 0, 0, 0, "Print a config file with every key, its default and what it means.",
	        cmd_config_example },
	{ "config", "manual", "", 0, 0, 0, "Print the manual page posthouse.conf(5).", cmd_config_manual },

	{ "version", NULL, "", 0, 0, 0, "Print the version.", cmd_version },
	{ "help", NULL, "[VERB [NOUN] | exit-codes | manual | completion]", 0, 2, 0,
	        "Show how commands are used; exit-codes: what they return; manual: posthouse(1); completion: for bash.",
	        cmd_help },
};
/* clang-format on */
const size_t verb_count = ARRAY_LEN(verbs);
