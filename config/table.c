#include "config/table.h"

#include "base/macros.h"
#include "config/settings.h"

#include <limits.h>

#define MEMBER(m) offsetof(struct settings, m)
#define PORT(name, n, fallback, help)                                                                                  \
	{                                                                                                              \
		"listen", name, &type_port, fallback, MEMBER(listen.ports[n]), 0, 65535, NULL, help                    \
	}

#define SECOND 1000ull
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static const char *const log_levels[] = { "error", "warning", "info", "debug", NULL }; /* enum log_level */
static const char *const pop3_deletes[] = { "expunge", "trash", NULL };                /* enum settings_pop3_delete */

const struct setting_section setting_sections[] = {
	{ "server", "The site as a whole." },
	{ "listen", "Addresses and ports. A port of 0 is off." },
	{ "tls", "Certificates. They are watched and taken over live when the files change; no session is dropped." },
	{ "smtp", "Taking mail in: port 25 and submission." },
	{ "submission", "Mail of our users on its way out." },
	{ "queue", "Mail that waits for another server: how often it is tried, and for how long." },
	{ "relay", "Sending mail to other servers." },
	{ "dns", "Who is asked for addresses." },
	{ "explain", "The story of each message, for posthouse explain." },
	{ "auth", "Checking passwords." },
	{ "pop3", "Fetching mail by POP3." },
	{ "imap", "Mail and folders by IMAP." },
	{ "store", "The mail on disk." },
	{ "limits", "What one peer may use up. Counted by each worker." },
};
const size_t setting_section_count = ARRAY_LEN(setting_sections);

/* clang-format off: a table is read by columns */
const struct setting setting_table[] = {
	{ "server", "hostname", &type_hostname, "", MEMBER(server.hostname), 0, 0, NULL,
	        "The full name of this machine (mail.example.org): in the greeting, in Received fields and in Message-IDs. It should be "
	        "the name that the address's reverse DNS gives. Empty: what the system calls itself." },
	{ "server", "data_dir", &type_path, "/var/lib/posthouse", MEMBER(server.data_dir), 0, SETTINGS_DATA_DIR_MAX,
	        NULL,
	        "Everything the site keeps: directory.db, auth.db, accounts/, run/. On a local disk, never on NFS. It belongs to the "
	        "service user, mode 0700." },
	{ "server", "user", &type_user, "posthouse", MEMBER(server.user), 0, 0, NULL,
	        "The service user that all processes become when they are started by root. Started by another user they stay as they are." },
	{ "server", "log_level", &type_choice, "info", MEMBER(server.log_level), 0, 0, log_levels,
	        "The least important kind of line that is still logged. Lines go to standard error, one for each event." },
	{ "server", "workers", &type_number, "0", MEMBER(server.workers), 0, SETTINGS_WORKERS_MAX, NULL,
	        "Processes of each daemon. 0: as many as there are processor cores, at most 4." },

	{ "listen", "addresses", &type_addresses, "0.0.0.0 ::", MEMBER(listen.addresses), 0, 0, NULL,
	        "Where to listen: literal IPv4 and IPv6 addresses, separated by blanks." },
	PORT("smtp", PORT_SMTP, "25", "Mail from other servers (RFC 5321)."),
	PORT("submission", PORT_SUBMISSION, "587", "Mail from our users, TLS by STARTTLS (RFC 6409)."),
	PORT("submissions", PORT_SUBMISSIONS, "465", "Mail from our users, TLS from the first byte (RFC 8314)."),
	PORT("pop3", PORT_POP3, "110", "POP3, TLS by STLS (RFC 1939, RFC 2595)."),
	PORT("pop3s", PORT_POP3S, "995", "POP3, TLS from the first byte (RFC 8314)."),
	PORT("imap", PORT_IMAP, "143", "IMAP, TLS by STARTTLS (RFC 9051)."),
	PORT("imaps", PORT_IMAPS, "993", "IMAP, TLS from the first byte (RFC 8314)."),
	PORT("lmtp", PORT_LMTP, "0", "LMTP (RFC 2033), for another server of yours that delivers into this one; only from [smtp] relay_networks."),
	{ "listen", "sendmail_socket", &type_optional_path, "", MEMBER(listen.sendmail_socket), 0, SETTINGS_SOCKET_MAX, NULL,
	        "Where programs of this machine hand in mail with the sendmail command. Everybody may connect: the kernel says who it is. "
	        "/run/posthouse/sendmail with the systemd unit that comes along. "
	        "Empty: DATA_DIR/run/sendmail, which only root and the service user reach." },

	{ "tls", "certificate", &type_paths, "", MEMBER(tls.certificates), 0, SETTINGS_CERTIFICATES_MAX, NULL,
	        "PEM files, each with a server certificate first and its chain after it. A client that asks for a name (SNI) gets the one "
	        "with that name, all others the first. Empty: no TLS, and so no logins from other machines." },
	{ "tls", "key", &type_paths, "", MEMBER(tls.keys), 0, SETTINGS_CERTIFICATES_MAX, NULL,
	        "The private keys, one for each certificate and in the same order. The service user must be able to read them." },

	{ "smtp", "max_message_size", &type_size, "50M", MEMBER(smtp.max_message_size), 64 * KIB, 2047ull * MIB, NULL,
	        "The largest message that is taken in; announced by SIZE (RFC 1870) and refused at its announcement." },
	{ "smtp", "max_recipients", &type_number, "1000", MEMBER(smtp.max_recipients), 100, 10000, NULL,
	        "Recipients of one message; RFC 5321 §4.5.3.1.8 asks for at least 100." },
	{ "smtp", "max_hops", &type_number, "50", MEMBER(smtp.max_hops), 10, 1000, NULL,
	        "A message with more Received fields than this is in a loop and is refused." },
	{ "smtp", "idle_timeout", &type_duration, "5m", MEMBER(smtp.idle_timeout), 10 * SECOND, HOUR, NULL,
	        "A client that is silent for so long is disconnected; RFC 5321 §4.5.3.2.7 asks for at least 5 minutes." },

	{ "smtp", "relay_networks", &type_networks, "", MEMBER(smtp.relay_networks), 0, 0, NULL,
	        "Networks whose hosts may send mail to anywhere without logging in (a printer, a web server), separated by blanks. "
	        "Everybody in them is trusted as a user is." },
	{ "smtp", "xclient_networks", &type_networks, "", MEMBER(smtp.xclient_networks), 0, 0, NULL,
	        "Networks of proxies and filters that may say by XCLIENT for whom they speak." },
	{ "smtp", "proxy_networks", &type_networks, "", MEMBER(smtp.proxy_networks), 0, 0, NULL,
	        "Networks of load balancers: connections from there begin with a PROXY protocol header (version 2) on the SMTP ports, "
	        "or are closed." },
	{ "smtp", "etrn_domains", &type_domains, "", MEMBER(smtp.etrn_domains), 0, 0, NULL,
	        "Domains whose queue a client may start by ETRN (RFC 1985), separated by blanks; ETRN @domain starts all below one of them too." },
	{ "smtp", "expn", &type_bool, "no", MEMBER(smtp.expn), 0, 0, NULL,
	        "Answer EXPN (the addresses of an alias) to users who have logged in." },

	{ "submission", "recipients_a_day", &type_number, "1000", MEMBER(submission.recipients_a_day), 0, 1000000, NULL,
	        "Recipients elsewhere that one user may write to in a day; more are told to come again tomorrow. It bounds what a stolen "
	        "password can do. 0: no limit." },
	{ "submission", "new_recipients_a_day", &type_number, "200", MEMBER(submission.new_recipients_a_day), 0, 1000000, NULL,
	        "The same, of those to whom the user has never written before." },
	{ "submission", "undo", &type_duration, "0", MEMBER(submission.undo), 0, HOUR, NULL,
	        "Mail of our users waits so long before it goes out, and can be taken back (posthouse queue drop)." },

	{ "queue", "retry", &type_durations, "1m 5m 15m 30m 30m 1h 2h 4h", MEMBER(queue.retry), SECOND, 7 * DAY, NULL,
	        "Times between the tries of one recipient; the last one repeats. Each is varied by a tenth, so that not everything "
	        "is tried at once." },
	{ "queue", "warn_after", &type_duration, "4h", MEMBER(queue.warn_after), MINUTE, 7 * DAY, NULL,
	        "The sender is told when a message has waited for so long." },
	{ "queue", "give_up_after", &type_duration, "5d", MEMBER(queue.give_up_after), MINUTE, 30 * DAY, NULL,
	        "A message that could not be handed over for so long goes back to its sender; RFC 5321 §4.5.4.1 asks for 4 to 5 days." },
	{ "queue", "connections", &type_number, "100", MEMBER(queue.connections), 1, 10000, NULL,
	        "Connections to other servers at the same time." },
	{ "queue", "connections_per_destination", &type_number, "10", MEMBER(queue.connections_per_destination), 1, 1000, NULL,
	        "The most of them to one destination. Fewer, as long as it answers slowly or refuses." },

	{ "relay", "port", &type_port, "25", MEMBER(relay.port), 1, 65535, NULL,
	        "The port of other servers; another one only for a closed network." },
	{ "relay", "source_addresses", &type_optional_addresses, "", MEMBER(relay.source_addresses), 0, 0, NULL,
	        "Addresses of this machine to send from. One whose reverse DNS is the hostname is taken first. Empty: as the system chooses." },
	{ "relay", "dane", &type_bool, "yes", MEMBER(relay.dane), 0, 0, NULL,
	        "Hold servers to the certificates in their signed DNS (RFC 7672)." },
	{ "relay", "mta_sts", &type_bool, "yes", MEMBER(relay.mta_sts), 0, 0, NULL,
	        "Fetch the TLS policies of other domains and keep to them (RFC 8461)." },
	{ "relay", "ca_file", &type_optional_path, "", MEMBER(relay.ca_file), 0, SETTINGS_TEXT_MAX - 1, NULL,
	        "PEM file of the certificate authorities that count. Empty: the system's." },
	{ "relay", "sts_port", &type_port, "443", MEMBER(relay.sts_port), 1, 65535, NULL,
	        "The port that MTA-STS policies are fetched from; another one only for tests." },

	{ "dns", "forward", &type_resolvers, "", MEMBER(dns.forward), 0, 0, NULL,
	        "Resolvers to ask: addresses, each perhaps with @port, separated by blanks. Answers are verified by DNSSEC here in any case. "
	        "Empty: those of /etc/resolv.conf." },
	{ "dns", "trust_anchor", &type_optional_path, "", MEMBER(dns.trust_anchor), 0, SETTINGS_TEXT_MAX - 1, NULL,
	        "File with the DNSSEC key of the root. Empty: Debian's (package dns-root-data)." },

	{ "explain", "keep_days", &type_number, "30", MEMBER(explain.keep_days), 1, 3650, NULL,
	        "Days until what is known about a message is forgotten." },

	{ "auth", "plaintext_on_loopback", &type_bool, "no", MEMBER(auth.plaintext_on_loopback), 0, 0, NULL,
	        "Take passwords over connections without TLS when they come from this machine itself. Never from elsewhere." },
	{ "auth", "channel_binding", &type_bool, "no", MEMBER(auth.channel_binding), 0, 0, NULL,
	        "Offer SCRAM-SHA-256-PLUS: a login that is bound to its TLS connection cannot be passed on by somebody in the middle. Off, "
	        "because Debian 12's mutt and neomutt choose it wherever it is offered, without being able to do it: then they "
	        "cannot send mail or fetch it by POP3." },
	{ "auth", "remember_logins", &type_duration, "10m", MEMBER(auth.remember_logins), 0, DAY, NULL,
	        "A client that logs in again within this time, with the same password, does not cost a slow password check. "
	        "Kept as a keyed hash, in memory only. 0: never." },
	{ "auth", "checks_at_once", &type_number, "2", MEMBER(auth.checks_at_once), 1, 16, NULL,
	        "Passwords that are checked at the same time; each check takes 64 MiB and one core." },
	{ "auth", "tries_per_minute", &type_number, "10", MEMBER(auth.tries_per_minute), 1, 1000, NULL,
	        "Wrong passwords from one address before its answers are delayed more and more." },
	{ "auth", "longest_delay", &type_duration, "15s", MEMBER(auth.longest_delay), SECOND, 5 * MINUTE, NULL,
	        "The longest that an answer is delayed for an address that guesses. Accounts are never locked." },

	{ "pop3", "delete", &type_choice, "expunge", MEMBER(pop3.delete_to), 0, 0, pop3_deletes,
	        "What becomes of messages that a client deletes: expunge removes them, trash moves them to the Trash mailbox." },
	{ "pop3", "idle_timeout", &type_duration, "10m", MEMBER(pop3.idle_timeout), 10 * SECOND, DAY, NULL,
	        "A client that is silent for so long is disconnected, and nothing is deleted; RFC 1939 §3 asks for at least 10 minutes." },

	{ "imap", "idle_timeout", &type_duration, "31m", MEMBER(imap.idle_timeout), 30 * MINUTE, 7 * DAY, NULL,
	        "A client that is silent for so long after it has logged in is disconnected; RFC 9051 §5.4 asks for at least 30 minutes." },
	{ "imap", "index_memory", &type_size, "64M", MEMBER(imap.index_memory), MIB, 65536ull * MIB, NULL,
	        "Memory of each worker for the lists of mailboxes that nobody has open just now, about 24 bytes a message: opening one "
	        "of these again does not read the disk." },

	{ "store", "keep_expunged_days", &type_number, "7", MEMBER(store.keep_expunged_days), 0, 3650, NULL,
	        "Days until the text of an expunged message is given up on disk. 0: at once." },
	{ "store", "accounts_open", &type_number, "100", MEMBER(store.accounts_open), 4, 10000, NULL,
	        "Account files that one process keeps open; each costs about 250 KiB and 3 descriptors." },
	{ "store", "default_quota", &type_size, "0", MEMBER(store.default_quota), 0, 1ull << 50, NULL,
	        "The quota of a new user when none is given. 0: none." },

	{ "limits", "connections_per_address", &type_number, "20", MEMBER(limits.connections_per_address), 1, 100000,
	        NULL, "Connections of one address (IPv6: one /64 network) that have not logged in." },
	{ "limits", "connections", &type_number, "10000", MEMBER(limits.connections), 10, 1000000, NULL,
	        "All connections of one worker. When they are used up, the oldest that has not logged in of the address that holds the "
	        "most is closed for the new one." },
	{ "limits", "unlimited_networks", &type_networks, "127.0.0.0/8 ::1/128", MEMBER(limits.unlimited_networks), 0,
	        0, NULL, "Networks, separated by blanks, that connections_per_address does not hold for." },
	{ "limits", "tls_timeout", &type_duration, "30s", MEMBER(limits.tls_timeout), SECOND, 10 * MINUTE, NULL,
	        "Time to finish a TLS handshake." },
	{ "limits", "login_timeout", &type_duration, "60s", MEMBER(limits.login_timeout), SECOND, HOUR, NULL,
	        "Time to log in, for POP3 and IMAP. On the submission ports idle_timeout holds." },
	{ "limits", "bad_commands", &type_number, "10", MEMBER(limits.bad_commands), 1, 1000, NULL,
	        "Unknown or wrong commands in one session; then it is closed." },
};
/* clang-format on */
const size_t setting_count = ARRAY_LEN(setting_table);
