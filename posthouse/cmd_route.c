/* posthouse/cmd_route.c — `posthouse route add|list|remove`: where mail goes instead of the servers that the DNS names. */
#include "posthouse/cli.h"

#include "base/secret.h"
#include "posthouse/route.h"
#include "posthouse/site.h"
#include "posthouse/words.h"

#include <stdio.h>
#include <string.h>

static struct site site;

static const struct column columns[] = {
	{ "match", "MAIL FOR", COLUMN_TEXT },
	{ "via", "GOES VIA", COLUMN_TEXT },
	{ "port", "PORT", COLUMN_NUMBER },
	{ "tls", "TLS", COLUMN_TEXT },
	{ "implicit_tls", "IMPLICIT TLS", COLUMN_YES },
	{ "user", "LOGIN", COLUMN_TEXT },
};

/* ---- add ---- */

/* What would only be found out when mail is refused, or a password goes over the line in the clear. */
static bool check_together(const struct cli *cli, const struct route *route, struct error *err)
{
	bool has_login = route->user[0] != '\0';
	bool is_local = route->host[0] == '/';

	if (route->kind == ROUTE_MX && (has_login || route->implicit_tls || cli->options[OPT_PASSWORD_STDIN] != NULL))
		return error_set(err, ERR_SYNTAX, "--via mx is for all servers of a domain: no login, no implicit TLS");
	if (route->implicit_tls && (route->tls == ROUTE_TLS_NONE || is_local))
		return error_set(err, ERR_SYNTAX, "--implicit-tls is TLS: not with --tls none, not with a socket");
	if (has_login && !is_local && !route->implicit_tls && route->tls != ROUTE_TLS_ENCRYPT &&
	        route->tls != ROUTE_TLS_VERIFY)
		return error_set(err, ERR_SYNTAX, "a password needs TLS: say --tls verify (or encrypt)");
	if (!has_login && cli->options[OPT_PASSWORD_STDIN] != NULL)
		return error_set(err, ERR_SYNTAX, "a password needs a login name: --user NAME");
	return true;
}

static bool read_options(const struct cli *cli, struct route *route, struct error *err)
{
	const char *via = cli->options[OPT_VIA], *tls = cli->options[OPT_TLS], *user = cli->options[OPT_USER];

	if (via == NULL)
		return error_set(err, ERR_SYNTAX, "where to? --via HOST[:PORT], or --via mx");
	if (!route_match(span_of(cli->words[0]), route->match, sizeof(route->match), err) ||
	        !route_via(span_of(via), route, err))
		return false;
	route->implicit_tls = cli->options[OPT_IMPLICIT_TLS] != NULL;
	if (tls != NULL && !route_tls(span_of(tls), &route->tls, err))
		return false;
	if (user != NULL && (user[0] == '\0' || !span_copy(span_of(user), route->user, sizeof(route->user))))
		return error_set(err, ERR_SYNTAX, "--user: a name of 1 to %d octets", ROUTE_USER_MAX);
	return check_together(cli, route, err);
}

static bool read_password(const struct cli *cli, struct route *route, struct error *err)
{
	struct buffer password;
	bool ok;

	if (route->user[0] == '\0')
		return true;
	buffer_init(&password, ROUTE_PASSWORD_MAX);
	ok = prompt_password(cli->options[OPT_PASSWORD_STDIN] != NULL, route->user, &password, err);
	if (ok && !span_copy(buffer_span(&password), route->password, sizeof(route->password)))
		ok = error_set(err, ERR_TOO_LONG, "the password is longer than %d octets", ROUTE_PASSWORD_MAX);
	secret_buffer_free(&password);
	return ok;
}

enum exit_code cmd_route_add(struct cli *cli)
{
	struct route route = { .tls = ROUTE_TLS_DEFAULT };
	char way[ROUTE_HOST_MAX + 512];
	struct error err;
	enum exit_code code;

	if (!read_options(cli, &route, &err))
		return cli_error(cli->words[0], &err);
	code = site_open(cli, SITE_RELAY, &site);
	if (code != CLI_OK)
		return code;
	if (read_password(cli, &route, &err) && relay_store_set_route(site.relay, &route, &err)) {
		route_words(&route, route.match, way, sizeof(way));
		(void)printf("mail for %s goes to %s\n", route.match, way);
	} else {
		code = cli_error(cli->words[0], &err);
	}
	secret_wipe(&route, sizeof(route));
	site_close(&site);
	return code;
}

/* ---- list, remove ---- */

static bool add_row(void *arg, const struct route *route)
{
	static const char *const kinds[] = { [ROUTE_MX] = "mx", [ROUTE_SMTP] = "smtp", [ROUTE_LMTP] = "lmtp" };
	char via[ROUTE_HOST_MAX + 8];

	(void)snprintf(via, sizeof(via), "%s%s",
	        route->kind == ROUTE_MX     ? "mx"
	        : route->kind == ROUTE_LMTP ? "lmtp:"
	                                    : "",
	        route->host);
	return json_array_append_new(
	               arg, json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:b, s:o}", "match", route->match, "via", via,
	                            "kind", kinds[route->kind], "host", route->host, "port",
	                            route->port != 0 ? json_integer(route->port) : json_null(), "tls",
	                            route_tls_name(route->tls), "implicit_tls", route->implicit_tls, "user",
	                            route->user[0] != '\0' ? json_string(route->user) : json_null())) == 0;
}

enum exit_code cmd_route_list(struct cli *cli)
{
	bool as_json = cli->options[OPT_JSON] != NULL;
	struct error err;
	enum exit_code code = site_open(cli, SITE_RELAY, &site);
	json_t *rows;

	if (code != CLI_OK)
		return code;
	rows = json_array();
	if (!relay_store_each_route(site.relay, add_row, rows, &err)) {
		json_decref(rows);
		code = cli_error("route list", &err);
	} else if (json_array_size(rows) == 0 && !as_json) {
		json_decref(rows);
		code = output_text("no routes: all mail goes to the servers that the DNS names\n");
	} else {
		code = output_list(rows, columns, ARRAY_LEN(columns), as_json);
	}
	site_close(&site);
	return code;
}

enum exit_code cmd_route_remove(struct cli *cli)
{
	char match[sizeof(((struct route *)NULL)->match)];
	struct error err;
	enum exit_code failed, code = site_open(cli, SITE_RELAY, &site);
	bool none;

	if (code != CLI_OK)
		return code;
	for (size_t i = 0; i < cli->word_count; i++) {
		if (route_match(span_of(cli->words[i]), match, sizeof(match), &err) &&
		        relay_store_remove_route(site.relay, span_of(match), &err)) {
			(void)printf("route %s removed\n", match);
			continue;
		}
		none = err.code == ERR_NO_SUCH_DOMAIN; /* of a route it says nothing about our domains */
		failed = none ? CLI_NOT_FOUND : cli_error(cli->words[i], &err);
		if (none)
			(void)fprintf(stderr, "posthouse: %s: no such route; `posthouse route list` shows them\n",
			        cli->words[i]);
		code = code == CLI_OK ? failed : code;
	}
	site_close(&site);
	return code;
}
