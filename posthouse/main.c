/* posthouse/main.c — the supervisor and the admin's command line. The commands are in verbs.c, one file for each noun. */
#include "posthouse/cli.h"

#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

/* A program that is started with standard descriptors closed must not open its data files in their place. */
static void fill_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		(void)close(fd);
}

int main(int argc, char **argv)
{
	struct cli cli;
	enum exit_code code;

	fill_standard_descriptors();
	log_open("posthouse", LOG_ERROR); /* `serve` opens it again, by its settings */
	code = cli_parse(argc, (const char *const *)argv, &cli);
	return code == CLI_OK ? cli.verb->run(&cli) : code;
}
