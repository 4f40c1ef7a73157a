/* Several processes on one queue, with kill -9: queue_processes [--seconds N] [--seed N] [--kill]
 * Some add groups of messages, one takes and finishes like the relay, one holds and releases. Each writes down in memory that survives it what it is
 * about to do and what it was told. At the end nothing that was promised is lost, nothing that was finished is there or was handed
 * out again, a group that was in the making is there wholly or not at all, and each report belongs to what it reports. */
#include "base/clock.h"
#include "base/random.h"
#include "base/span.h"
#include "storage/check.h"
#include "storage/queue.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ADDERS       5
#define PLACES       (ADDERS + 2) /* and the relay, and the admin */
#define MODELS_MAX   2000
#define MESSAGES_MAX 4000 /* of one process */
#define RCPTS        3
#define GROUP_MAX    6
#define LARGE        70000
#define DOMAINS      7
#define LATER        (INT64_MAX / 2) /* all are due */

enum message_state { NEVER, ADDING, ADDED, REFUSED };
enum rcpt_state { HERE, FINISHING, FINISHED };

struct model_message {
	uint8_t state, rcpts, group; /* group: how many before it in its group */
	uint8_t rcpt[RCPTS];
	bool report[RCPTS]; /* its end was to be told */
};

struct model {
	uint32_t count;
	struct model_message messages[MESSAGES_MAX];
};

struct shared {
	volatile bool stop;
	uint64_t added, finished, reports;
	struct model models[];
};

struct run {
	char dir[64];
	struct shared *shared;
	uint32_t model_count, seconds;
	uint64_t seed;
	bool kill;
	pid_t pids[PLACES];
	unsigned failures, kills;
};

static _Noreturn void contradiction(const char *what, const char *trace)
{
	fprintf(stderr, "%s: %s\n", what, trace);
	_exit(1);
}

static _Noreturn void die(const struct error *err)
{
	contradiction(err->reason, err->detail);
}

/* A message says who it is: its size and octets follow from its number. */
static size_t size_of(uint32_t number)
{
	return number % 16 == 0 ? LARGE : 100 + number % 50;
}

static struct spool *make_body(struct store *store, uint32_t model, uint32_t number)
{
	static char text[LARGE];
	struct spool *spool;
	struct error err;

	memset(text, 'a' + (int)((model + number) % 26), sizeof(text));
	if (!spool_new(store, UINT64_MAX, &spool, &err) || !spool_append(spool, span_make(text, size_of(number)), &err))
		die(&err);
	return spool;
}

struct parts {
	struct queue_entry entry;
	struct queue_rcpt_new rcpts[RCPTS];
	char trace[48], addresses[RCPTS][32];
};

static void make_entry(
        struct parts *parts, const struct model_message *message, uint32_t model, uint32_t number, struct spool *body)
{
	size_t at;

	snprintf(parts->trace, sizeof(parts->trace), "m%u-%u", model, number);
	for (uint32_t i = 0; i < message->rcpts; i++) {
		snprintf(parts->addresses[i], sizeof(parts->addresses[i]), "r%u@d%u.test", i, (number + i) % DOMAINS);
		(void)span_find(span_of(parts->addresses[i]), '@', &at);
		parts->rcpts[i] = (struct queue_rcpt_new) { .address = span_of(parts->addresses[i]),
			.domain = span_of(parts->addresses[i] + at + 1) };
	}
	parts->entry = (struct queue_entry) { .trace = span_of(parts->trace),
		.sender = SPAN("s@here.test"),
		.priority = (int)(number % 3),
		.created_ms = 1,
		.expires_ms = LATER,
		.account_id = 1 + model % 4,
		.body = body,
		.recipients = parts->rcpts,
		.recipient_count = message->rcpts };
}

static void add_group(struct run *run, struct store *store, struct queue *queue, uint32_t number)
{
	static struct parts parts[GROUP_MAX];
	struct model *model = &run->shared->models[number];
	uint32_t first = model->count, size = 1 + random_below(GROUP_MAX);
	struct queue_entry *list[GROUP_MAX];
	struct error err;
	bool ok;

	for (uint32_t i = 0; i < size; i++) {
		struct model_message *message = &model->messages[first + i];

		*message = (struct model_message) { .rcpts = (uint8_t)(1 + random_below(RCPTS)), .group = (uint8_t)i };
		make_entry(&parts[i], message, number, first + i, make_body(store, number, first + i));
		list[i] = &parts[i].entry;
		message->state = ADDING;
	}
	model->count = first + size;
	ok = queue_add(queue, list, size, &err);
	for (uint32_t i = 0; i < size; i++) {
		model->messages[first + i].state = ok ? ADDED : REFUSED;
		spool_free(&parts[i].entry.body);
	}
	__atomic_fetch_add(&run->shared->added, ok ? size : 0, __ATOMIC_RELAXED);
}

static void be_adder(struct run *run, struct queue *queue, uint32_t number)
{
	struct store_settings settings = { .data_dir = run->dir };
	struct store *store;
	struct error err;

	if (!store_open(&settings, &store, &err))
		die(&err);
	while (!run->shared->stop && run->shared->models[number].count + GROUP_MAX <= MESSAGES_MAX)
		add_group(run, store, queue, number);
	while (!run->shared->stop)
		usleep(10000);
	store_close(&store);
}

/* "m12-34" */
static struct model_message *find_message(struct shared *shared, const char *trace, uint32_t *model, uint32_t *number)
{
	struct span rest = span_of(trace);

	if (!span_take_char(&rest, 'm') || !span_take_number(&rest, MODELS_MAX - 1, model) ||
	        !span_take_char(&rest, '-') || !span_take_number(&rest, MESSAGES_MAX - 1, number))
		contradiction("not a message of ours", trace);
	return &shared->models[*model].messages[*number];
}

static uint32_t rcpt_number(const char *address)
{
	return (uint32_t)(address[1] - '0');
}

static void look_at_body(struct queue *queue, const struct queue_message *message, uint32_t model, uint32_t number)
{
	char octet = 0, wanted = (char)('a' + (model + number) % 26);
	struct error err;
	size_t got;

	if (message->size != size_of(number))
		contradiction("another size", message->trace);
	if (!queue_read(queue, message->id, message->size - 1, &octet, 1, &got, &err))
		die(&err);
	if (got != 1 || octet != wanted)
		contradiction("other octets", message->trace);
}

struct finishing {
	struct queue_outcome outcomes[100];
	uint8_t *states[100];
	struct parts reports[100];
	struct queue_entry *report_list[100];
	size_t count, report_count;
};

static void add_report(struct finishing *f, struct store *store, const char *trace, uint32_t rcpt)
{
	static const struct model_message one = { .rcpts = 1 };
	struct parts *report = &f->reports[f->report_count];

	make_entry(report, &one, 0, 1, make_body(store, 0, 1));
	snprintf(report->trace, sizeof(report->trace), "%.24s-%u", trace, rcpt);
	report->entry.trace = span_of(report->trace);
	report->entry.account_id = 0;
	report->rcpts[0].domain = SPAN("report.test");
	f->report_list[f->report_count++] = &report->entry;
}

static void choose_outcome(struct run *run, struct store *store, struct finishing *f,
        const struct queue_message *message, const struct queue_rcpt *rcpt)
{
	uint32_t model, number, n = rcpt_number(rcpt->address), dice = random_below(10);
	struct model_message *known = find_message(run->shared, message->trace, &model, &number);
	struct queue_outcome *outcome = &f->outcomes[f->count];

	if (known->state == REFUSED || known->state == NEVER)
		contradiction("never promised, but there", message->trace);
	if (known->rcpt[n] == FINISHED)
		contradiction("handed out after it was finished", message->trace);
	*outcome = (struct queue_outcome) { .recipient_id = rcpt->id, .next_attempt_ms = 2, .reply = SPAN("450 x") };
	outcome->result = dice < 6 ? QUEUE_DONE : dice < 9 ? QUEUE_AGAIN : QUEUE_UNDONE;
	f->states[f->count] = outcome->result == QUEUE_DONE ? &known->rcpt[n] : NULL;
	f->count++;
	if (outcome->result != QUEUE_DONE)
		return;
	known->report[n] = dice == 0;
	if (dice == 0)
		add_report(f, store, message->trace, n);
	known->rcpt[n] = FINISHING;
}

static void finish_all(struct run *run, struct queue *queue, struct finishing *f)
{
	struct error err;

	if (!queue_finish(queue, f->outcomes, f->count, f->report_list, f->report_count, &err))
		die(&err);
	for (size_t i = 0; i < f->count; i++) {
		if (f->states[i] != NULL) {
			*f->states[i] = FINISHED;
			run->shared->finished++;
		}
	}
	for (size_t i = 0; i < f->report_count; i++)
		spool_free(&f->reports[i].entry.body);
	run->shared->reports += f->report_count;
}

static void take_some(struct run *run, struct store *store, struct queue *queue, const char *domain)
{
	static struct finishing finishing;
	struct queue_message *taken[20];
	uint32_t model, number;
	struct error err;
	size_t count;

	finishing.count = finishing.report_count = 0;
	if (!queue_take(queue, domain, LATER, NULL, NULL, taken, 20, SIZE_MAX, &count, &err))
		die(&err);
	for (size_t i = 0; i < count; i++) {
		(void)find_message(run->shared, taken[i]->trace, &model, &number);
		look_at_body(queue, taken[i], model, number);
		for (size_t n = 0; n < taken[i]->recipient_count && finishing.count < 100; n++)
			choose_outcome(run, store, &finishing, taken[i], &taken[i]->recipients[n]);
	}
	finish_all(run, queue, &finishing);
	for (size_t i = 0; i < count; i++)
		queue_message_free(&taken[i]);
}

static void be_relay(struct run *run, struct queue *queue)
{
	struct store_settings settings = { .data_dir = run->dir };
	struct queue_destination due[DOMAINS + 1];
	struct store *store;
	struct error err;
	int64_t next;
	size_t count;

	if (!store_open(&settings, &store, &err) || !queue_tidy(queue, clock_wall_ms(), &err))
		die(&err);
	while (!run->shared->stop) {
		if (!queue_due(queue, LATER, due, DOMAINS + 1, &count, &next, &err))
			die(&err);
		for (size_t i = 0; i < count && !run->shared->stop; i++) {
			if (strcmp(due[i].domain, "report.test") != 0)
				take_some(run, store, queue, due[i].domain);
		}
	}
	store_close(&store);
}

static void be_admin(struct run *run, struct queue *queue)
{
	const struct queue_filter some = { .held = -1, .recipient = SPAN("@d3.test") }, held = { .held = 1 };
	uint64_t changed;
	struct error err;

	while (!run->shared->stop) {
		bool ok = random_below(2) == 0 ? queue_hold(queue, &some, &changed, &err)
		                               : queue_release(queue, &held, 1, &changed, &err);

		if (!ok)
			die(&err);
		usleep(random_below(20000));
	}
}

static bool start(struct run *run, uint32_t place)
{
	uint32_t number = run->model_count;
	struct queue *queue;
	struct error err;

	if (number == MODELS_MAX)
		return false;
	run->model_count += place < ADDERS ? 1 : 0;
	run->pids[place] = fork();
	if (run->pids[place] != 0)
		return run->pids[place] > 0;
	random_seed_for_test(run->seed * 1000003 + run->kills * PLACES + place + 1);
	if (!queue_open(run->dir, &queue, &err))
		die(&err);
	if (place < ADDERS)
		be_adder(run, queue, number);
	else if (place == ADDERS)
		be_relay(run, queue);
	else
		be_admin(run, queue);
	queue_close(&queue);
	_exit(0);
}

static void reap(struct run *run, uint32_t place, bool killed)
{
	int status;

	waitpid(run->pids[place], &status, 0);
	if ((!killed || !WIFSIGNALED(status)) && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
		fprintf(stderr, "process %u ended with status %d\n", place, status);
		run->failures++;
	}
}

static void run_processes(struct run *run)
{
	int64_t end = clock_mono_ms() + (int64_t)run->seconds * 1000;

	for (uint32_t i = 0; i < PLACES; i++)
		start(run, i);
	while (clock_mono_ms() < end) {
		uint32_t place = random_below(PLACES);

		usleep(run->kill ? 1000 + random_below(60000) : 20000);
		if (!run->kill)
			continue;
		kill(run->pids[place], SIGKILL);
		reap(run, place, true);
		run->kills++;
		if (!start(run, place))
			break;
	}
	run->shared->stop = true;
	for (uint32_t i = 0; i < PLACES; i++)
		reap(run, i, false);
}

/* What is there at the end, beside what was written down. */

struct seen {
	struct run *run;
	uint8_t (*there)[MESSAGES_MAX]; /* bits: recipients, and above them their reports */
};

static bool see_row(void *arg, const struct queue_row *row)
{
	struct seen *seen = arg;
	uint32_t model, number, n = rcpt_number(row->recipient->address);
	bool report = false;

	(void)find_message(seen->run->shared, row->message->trace, &model, &number);
	if (strlen(row->message->trace) > 2 && row->message->trace[strlen(row->message->trace) - 2] == '-' &&
	        strchr(row->message->trace, '-') != strrchr(row->message->trace, '-')) {
		report = true;
		n = (uint32_t)(row->message->trace[strlen(row->message->trace) - 1] - '0');
	}
	seen->there[model][number] |= (uint8_t)(1u << (n + (report ? RCPTS : 0)));
	return true;
}

static void fail(struct run *run, uint32_t model, uint32_t number, const char *what)
{
	fprintf(stderr, "m%u-%u: %s\n", model, number, what);
	run->failures++;
}

static bool was_there(const struct model_message *message, uint8_t there)
{
	bool any = there != 0;

	for (int i = 0; i < RCPTS; i++)
		any = any || message->rcpt[i] != HERE;
	return any;
}

static void verify_rcpts(
        struct run *run, uint32_t model, uint32_t number, const struct model_message *message, uint8_t there)
{
	for (uint32_t i = 0; i < message->rcpts; i++) {
		bool here = (there & 1u << i) != 0, report = (there & 1u << (i + RCPTS)) != 0;
		uint8_t state = message->rcpt[i];

		if (state == HERE && !here)
			fail(run, model, number, "lost");
		if (state == FINISHED && here)
			fail(run, model, number, "finished, but there");
		if (report != (!here && message->report[i]))
			fail(run, model, number, report ? "a report of what did not happen" : "a report is missing");
	}
}

static void verify_message(struct run *run, uint32_t model, uint32_t number, const struct seen *seen)
{
	const struct model_message *message = &run->shared->models[model].messages[number], *first;
	uint8_t there = seen->there[model][number];

	if (message->state == REFUSED && was_there(message, there))
		fail(run, model, number, "refused, but there");
	if (message->state == ADDED || (message->state == ADDING && was_there(message, there)))
		verify_rcpts(run, model, number, message, there);
	if (message->state != ADDING)
		return;
	first = message - message->group;
	if (was_there(message, there) != was_there(first, seen->there[model][number - message->group]))
		fail(run, model, number, "half of its group is there");
}

static void print_finding(void *arg, const struct finding *finding)
{
	struct run *run = arg;

	fprintf(stderr, "check: %s: %s\n", finding->file, finding->what);
	run->failures++;
}

static void verify(struct run *run)
{
	const struct queue_filter all = { .held = -1 };
	struct seen seen = { run, calloc(MODELS_MAX, sizeof(*seen.there)) };
	struct queue *queue;
	struct error err;

	if (seen.there == NULL || !queue_open(run->dir, &queue, &err) ||
	        !queue_list(queue, &all, 0, UINT64_MAX, see_row, &seen, &err) ||
	        !queue_tidy(queue, clock_wall_ms() + INT64_C(2) * 24 * 3600 * 1000, &err))
		die(&err);
	queue_close(&queue);
	for (uint32_t m = 0; m < run->model_count; m++) {
		for (uint32_t n = 0; n < run->shared->models[m].count; n++)
			verify_message(run, m, n, &seen);
	}
	if (!check_site(run->dir, false, print_finding, run, &err))
		die(&err);
	if (run->shared->finished == 0 || run->shared->reports == 0) {
		fprintf(stderr, "nothing was finished\n");
		run->failures++;
	}
	printf("seed %lu: %lu added, %lu finished, %lu reports, %u kills, %u failures\n", (unsigned long)run->seed,
	        (unsigned long)run->shared->added, (unsigned long)run->shared->finished,
	        (unsigned long)run->shared->reports, run->kills, run->failures);
	free(seen.there);
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
		else
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct run run = { .dir = "/tmp/queue-processes-XXXXXX", .seconds = 5, .seed = random_u64() >> 40 };
	size_t size = sizeof(struct shared) + MODELS_MAX * sizeof(struct model);
	struct store_settings settings = { .data_dir = run.dir };
	struct store *store;
	struct error err;

	if (!read_options(&run, argc, argv)) {
		fprintf(stderr, "usage: %s [--seconds N] [--seed N] [--kill]\n", argv[0]);
		return 2;
	}
	run.shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (run.shared == MAP_FAILED || mkdtemp(run.dir) == NULL || !store_open(&settings, &store, &err))
		return 2;
	store_close(&store);
	run_processes(&run);
	verify(&run);
	if (run.failures == 0)
		nftw(run.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return run.failures == 0 ? 0 : 1;
}
