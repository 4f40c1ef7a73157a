/* posthouse/verbs.c — the one table of commands. Help, usage lines, the manual page and the shell completion come from it. */
#include "posthouse/cli.h"

#define ANY CLI_WORDS_MAX

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
	{ "user", "disable", "ADDRESS...", 1, ANY, 0, "No logins any more; mail is still taken in.", cmd_user_disable },
	{ "user", "enable", "ADDRESS...", 1, ANY, 0, "Logins again.", cmd_user_enable },
	{ "user", "remove", "ADDRESS...", 1, ANY, 0, "Remove users with all their mail.", cmd_user_remove },
	{ "user", "import", "FILE", 1, 1, 0,
	        "Add users from a CSV file (- is standard input) with lines of address,name,password,quota. A password may be an Argon2 hash "
	        "($argon2id$...). Wrong lines are named and left out; users that exist are left as they are.",
	        cmd_user_import },

	{ "alias", "add", "ALIAS ADDRESS...", 2, ANY, 0,
	        "Let mail to ALIAS go to these addresses; *@DOMAIN is what no other address of the domain takes.",
	        cmd_alias_add },
	{ "alias", "list", "", 0, 0, OPTION(OPT_JSON) | OPTION(OPT_DOMAIN), "List the aliases.", cmd_alias_list },
	{ "alias", "remove", "ALIAS [ADDRESS...]", 1, ANY, 0, "Remove an alias, or only these of its addresses.",
	        cmd_alias_remove },

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
