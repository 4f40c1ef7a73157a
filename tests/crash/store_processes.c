/* Several processes on one account, with and without kill -9: store_processes [--processes N] [--seconds N] [--seed N] [--kill]
 * At the end a small model says what must be there, `posthouse check` must find nothing, and no process may have been starved. */
#include "store_model.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/span.h"
#include "storage/check.h"
#include "storage/store.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ACCOUNT       1
#define PROCESSES_MAX 64
#define MODELS_MAX    2000 /* a killed process keeps its model; its successor gets a new one */

struct shared {
	volatile bool stop;
	struct model models[];
};

struct run {
	char dir[64];
	struct shared *shared;
	uint32_t model_count, processes, seconds;
	uint64_t seed;
	bool kill;
	struct {
		pid_t pid;
		uint32_t model;
	} alive[PROCESSES_MAX];
	unsigned failures, kills;
};

static bool start(struct run *run, uint32_t place)
{
	uint32_t number = run->model_count;
	struct model *model = &run->shared->models[number];
	pid_t pid;

	if (number == MODELS_MAX)
		return false;
	run->model_count++;
	model->number = number;
	pid = fork();
	if (pid == 0) {
		model_work(run->dir, ACCOUNT, model, run->seed * 1000003 + number, &run->shared->stop);
		_exit(0);
	}
	run->alive[place].pid = pid;
	run->alive[place].model = number;
	return pid > 0;
}

static void reap(struct run *run, uint32_t place, bool killed)
{
	int status;

	waitpid(run->alive[place].pid, &status, 0);
	if (killed ? !WIFSIGNALED(status) && WEXITSTATUS(status) != 0
	           : !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "process %u ended with status %d\n", run->alive[place].model, status);
		run->failures++;
	}
}

/* At any moment, but not while it writes down what the last commit did (store_model.h). */
static void kill_one(struct run *run, uint32_t place)
{
	pid_t pid = run->alive[place].pid;
	siginfo_t info;

	do {
		kill(pid, SIGCONT);
		usleep(100);
		kill(pid, SIGSTOP);
		info.si_code = 0;
		waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT);
	} while (info.si_code == CLD_STOPPED && run->shared->models[run->alive[place].model].writing_down);
	kill(pid, SIGKILL);
	reap(run, place, true);
	run->kills++;
}

static void run_processes(struct run *run)
{
	int64_t end = clock_mono_ms() + (int64_t)run->seconds * 1000;

	for (uint32_t i = 0; i < run->processes; i++)
		start(run, i);
	while (clock_mono_ms() < end) {
		uint32_t place = random_below(run->processes);

		usleep(run->kill ? 1000 + random_below(60000) : 20000);
		if (!run->kill)
			continue;
		kill_one(run, place);
		if (!start(run, place))
			break;
	}
	run->shared->stop = true;
	for (uint32_t i = 0; i < run->processes; i++)
		reap(run, i, false);
}

static void print_finding(void *arg, const struct finding *finding)
{
	struct run *run = arg;

	fprintf(stderr, "check: %s: %s\n", finding->file, finding->what);
	run->failures++;
}

static void verify(struct run *run)
{
	struct model **models = calloc(run->model_count, sizeof(*models));
	uint64_t commits = 0, least = UINT64_MAX;
	struct error err;

	for (uint32_t i = 0; i < run->model_count; i++) {
		models[i] = &run->shared->models[i];
		commits += models[i]->commits;
		least = models[i]->commits < least ? models[i]->commits : least;
	}
	run->failures += model_verify(run->dir, ACCOUNT, models, run->model_count);
	if (!check_site(run->dir, false, print_finding, run, &err)) {
		fprintf(stderr, "check: %s %s\n", err.reason, err.detail);
		run->failures++;
	}
	if (!run->kill && least * run->processes * 10 < commits) {
		fprintf(stderr, "a process was starved: %lu of %lu commits\n", (unsigned long)least,
		        (unsigned long)commits);
		run->failures++;
	}
	printf("seed %lu: %u processes, %lu commits, least %lu, %u kills, %u failures\n", (unsigned long)run->seed,
	        run->processes, (unsigned long)commits, (unsigned long)least, run->kills, run->failures);
	free(models);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static bool read_options(struct run *run, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		uint64_t number = 0;
		bool has_number = i + 1 < argc && span_number(span_of(argv[i + 1]), UINT32_MAX, &number);

		if (strcmp(argv[i], "--kill") == 0)
			run->kill = true;
		else if (has_number && strcmp(argv[i], "--seconds") == 0)
			run->seconds = (uint32_t)number, i++;
		else if (has_number && strcmp(argv[i], "--seed") == 0)
			run->seed = number, i++;
		else if (has_number && strcmp(argv[i], "--processes") == 0 && number <= PROCESSES_MAX)
			run->processes = (uint32_t)number, i++;
		else
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct run run = {
		.dir = "/tmp/store-processes-XXXXXX", .processes = 8, .seconds = 5, .seed = random_u64() >> 40
	};
	struct store_settings settings = { .data_dir = run.dir };
	size_t size = sizeof(struct shared) + MODELS_MAX * sizeof(struct model);
	struct store *store;
	struct error err;

	if (!read_options(&run, argc, argv)) {
		fprintf(stderr, "usage: %s [--processes N] [--seconds N] [--seed N] [--kill]\n", argv[0]);
		return 2;
	}
	run.shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (run.shared == MAP_FAILED || mkdtemp(run.dir) == NULL)
		return 2;
	if (!store_open(&settings, &store, &err) || !store_create_account(store, ACCOUNT, &err)) {
		fprintf(stderr, "%s %s\n", err.reason, err.detail);
		return 2;
	}
	store_close(&store);
	run_processes(&run);
	verify(&run);
	if (run.failures == 0)
		nftw(run.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return run.failures == 0 ? 0 : 1;
}
