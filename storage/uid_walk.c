#include "storage/uid_walk.h"

#include "storage/mail_sql.h"
#include "storage/mailbox_private.h"

#define CLUSTER_GAP 8 /* UIDs of no interest that are read over rather than looked up around */

struct cluster {
	uint32_t first, last;
};

void uid_walk_begin(struct uid_walk *walk, int64_t mailbox_id, const uint32_t *uids, size_t count, uint32_t end)
{
	walk->mailbox_id = mailbox_id;
	walk->uids = uids;
	walk->uid_count = count;
	walk->at = 0;
	walk->next = 1;
	walk->end = end;
	walk->all = walk->only_deleted = false;
	walk->count = 0;
}

/* The next stretch of UIDs that is worth one cursor; false: nothing is left. */
static bool next_cluster(const struct uid_walk *walk, struct cluster *out)
{
	size_t i = walk->at, stop;

	if (walk->all) {
		*out = (struct cluster) { walk->next, walk->end - 1 };
		return walk->next < walk->end;
	}
	if (i >= walk->uid_count || walk->uids[i] >= walk->end)
		return false;
	out->first = out->last = walk->uids[i];
	stop = walk->uid_count - i > UID_WALK_ROWS ? i + UID_WALK_ROWS : walk->uid_count;
	while (++i < stop && walk->uids[i] < walk->end && walk->uids[i] - out->last <= CLUSTER_GAP)
		out->last = walk->uids[i];
	return true;
}

static bool is_wanted(struct uid_walk *walk, uint32_t uid)
{
	if (walk->all)
		return true;
	while (walk->at < walk->uid_count && walk->uids[walk->at] < uid)
		walk->at++;
	return walk->at < walk->uid_count && walk->uids[walk->at] == uid;
}

/* What was read: all of the cluster, or as much as there was room for. */
static void move_on(struct uid_walk *walk, uint32_t last)
{
	while (walk->at < walk->uid_count && walk->uids[walk->at] <= last)
		walk->at++;
	walk->next = last + 1;
}

static bool read_cluster(struct database *database, struct uid_walk *walk, struct cluster cluster, struct error *err)
{
	enum mail_statement which = walk->only_deleted ? MAIL_ROWS_DELETED : MAIL_ROWS_RANGE;
	unsigned read = 0;
	bool follows = false;
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(database, which, &rows, err, V_INT(walk->mailbox_id), V_INT(cluster.first),
	            V_INT(cluster.last), V_INT(UID_WALK_ROWS)))
		return false;
	while ((step = database_step(database, rows, err)) == STEP_ROW) {
		struct message_row row = row_read(rows);
		bool wanted = is_wanted(walk, row.uid);

		if (wanted) {
			walk->follows[walk->count] = follows;
			walk->rows[walk->count++] = row;
		}
		follows = wanted;
		if (++read == UID_WALK_ROWS)
			cluster.last = row.uid;
	}
	database_done(rows);
	move_on(walk, cluster.last);
	return step == STEP_DONE;
}

bool uid_walk_next(struct database *database, struct uid_walk *walk, struct error *err)
{
	struct cluster cluster;

	walk->count = 0;
	while (walk->count == 0 && next_cluster(walk, &cluster)) {
		if (!read_cluster(database, walk, cluster, err))
			return false;
	}
	return true;
}
