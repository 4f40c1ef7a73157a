#include "imapd/search_program.h"

#include "imapd/search_match.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define PROGRAM_MEMORY_MAX (64 * MIB) /* "$" may hold a large mailbox's UIDs */
#define BUILD_DEPTH_MAX    (PARSE_DEPTH_MAX + 8)

static enum search_level level_of(enum search_kind kind)
{
	switch (kind) {
	case SEARCH_BEFORE:
	case SEARCH_ON:
	case SEARCH_SINCE:
	case SEARCH_SENTBEFORE:
	case SEARCH_SENTON:
	case SEARCH_SENTSINCE:
	case SEARCH_SAVEDBEFORE:
	case SEARCH_SAVEDON:
	case SEARCH_SAVEDSINCE:
	case SEARCH_YOUNGER:
	case SEARCH_OLDER:
	case SEARCH_THREADID:
	case SEARCH_FROM:
	case SEARCH_TO:
	case SEARCH_CC:
	case SEARCH_BCC:
	case SEARCH_SUBJECT: return LEVEL_COLUMNS;
	case SEARCH_HEADER: return LEVEL_HEADER;
	case SEARCH_BODY:
	case SEARCH_TEXT: return LEVEL_TEXT;
	default: return LEVEL_ROW;
	}
}

static unsigned wants_of(enum search_kind kind)
{
	if (kind >= SEARCH_SENTBEFORE && kind <= SEARCH_SENTSINCE)
		return WANT_META | WANT_ENVELOPE;
	return kind >= SEARCH_FROM && kind <= SEARCH_SUBJECT ? WANT_ENVELOPE : WANT_META;
}

static bool has_text(enum search_kind kind)
{
	return kind >= SEARCH_FROM && kind <= SEARCH_HEADER;
}

static bool no_memory(struct error *err)
{
	return error_set(err, ERR_NO_MEMORY, "out of memory");
}

/* "$" as ranges of UIDs, once for all keys that name it. */
static bool saved_ranges(struct search_program *p, const struct search_context *context, struct sequence_set *out)
{
	if (p->saved.ranges == NULL) {
		p->saved.ranges = arena_alloc(&p->arena, (context->saved_count + 1) * sizeof(*p->saved.ranges));
		if (p->saved.ranges == NULL)
			return false;
		for (size_t i = 0; i < context->saved_count; i++) {
			struct number_range *last = p->saved.count > 0 ? &p->saved.ranges[p->saved.count - 1] : NULL;

			if (last != NULL && last->last + 1 == context->saved[i])
				last->last++;
			else
				p->saved.ranges[p->saved.count++] =
				        (struct number_range) { context->saved[i], context->saved[i] };
		}
	}
	*out = p->saved;
	return true;
}

static bool build_set(struct search_program *p, const struct search_key *key, const struct search_context *context,
        struct search_node *node)
{
	size_t size = key->set.count * sizeof(*key->set.ranges);

	if (key->set.saved) {
		node->kind = SEARCH_UID;
		return saved_ranges(p, context, &node->set);
	}
	node->set = (struct sequence_set) { .ranges = arena_alloc(&p->arena, size + 1), .count = key->set.count };
	if (node->set.ranges == NULL)
		return false;
	if (size > 0)
		memcpy(node->set.ranges, key->set.ranges, size);
	sequence_set_resolve(&node->set, key->kind == SEARCH_UID ? context->largest_uid : context->largest_sequence);
	return true;
}

/* "M12", "T12" (RFC 8474 §5, as we write them); 0, which no message has, for anything else. */
static int64_t object_id(struct span text, char prefix)
{
	uint64_t id = 0;

	if (!span_take_char(&text, prefix) || (text.len > 1 && text.ptr[0] == '0') ||
	        !span_number(text, INT64_MAX, &id))
		return 0;
	return (int64_t)id;
}

static bool build_leaf(struct search_program *p, const struct search_key *key, const struct search_context *context,
        struct search_node *node)
{
	node->number = key->number;
	node->flag = key->flag;
	if (key->kind == SEARCH_SEQUENCE || key->kind == SEARCH_UID)
		return build_set(p, key, context, node);
	if (key->kind == SEARCH_KEYWORD) {
		node->kind = SEARCH_FLAG;
		node->flag = 0;
		if (!context->keyword(context->keyword_arg, key->text, &node->flag))
			node->flag = 0;
	} else if (key->kind == SEARCH_YOUNGER || key->kind == SEARCH_OLDER) {
		node->number = context->now - key->number;
	} else if (key->kind == SEARCH_EMAILID || key->kind == SEARCH_THREADID) {
		node->number = object_id(key->text, key->kind == SEARCH_EMAILID ? 'M' : 'T');
	}
	if (!has_text(key->kind))
		return true;
	node->name = arena_copy(&p->arena, key->name);
	p->text_keys++;
	return text_needle_init(&node->needle, key->text) && !p->arena.failed;
}

static size_t count_keys(const struct search_key *key, unsigned depth)
{
	size_t count = 1;

	for (const struct search_key *child = key->child; child != NULL && depth < BUILD_DEPTH_MAX; child = child->next)
		count += count_keys(child, depth + 1);
	return count;
}

/* Puts a child behind those that cost no more. */
static void insert_child(struct search_program *p, struct search_node *parent, uint32_t child)
{
	uint32_t *at = &parent->child;

	while (*at != NO_NODE && p->nodes[*at].level <= p->nodes[child].level)
		at = &p->nodes[*at].next;
	p->nodes[child].next = *at;
	*at = child;
	if (p->nodes[child].level > parent->level)
		parent->level = p->nodes[child].level;
}

static bool build(struct search_program *p, const struct search_key *key, const struct search_context *context,
        unsigned depth, uint32_t *out, struct error *err)
{
	struct search_node *node = &p->nodes[ *out = p->count++];

	if (depth >= BUILD_DEPTH_MAX)
		return error_set(err, ERR_TOO_LONG, "the search is nested too deeply");
	*node = (struct search_node) {
		.kind = key->kind, .level = level_of(key->kind), .child = NO_NODE, .next = NO_NODE
	};
	if (key->kind == SEARCH_AND || key->kind == SEARCH_OR || key->kind == SEARCH_NOT) {
		for (const struct search_key *child = key->child; child != NULL; child = child->next) {
			uint32_t index;

			if (!build(p, child, context, depth + 1, &index, err))
				return false;
			insert_child(p, node, index);
		}
		return true;
	}
	p->levels |= 1u << node->level;
	if (node->level == LEVEL_COLUMNS)
		p->wants |= wants_of(key->kind);
	p->save_dates = p->save_dates || (key->kind >= SEARCH_SAVEDBEFORE && key->kind <= SEARCH_SAVEDSINCE);
	p->headers = p->headers || key->kind == SEARCH_TEXT;
	p->modseq = p->modseq || key->kind == SEARCH_MODSEQ;
	p->numbers = p->numbers || key->kind == SEARCH_SEQUENCE;
	return build_leaf(p, key, context, node) || no_memory(err);
}

bool search_program_new(const struct search_key *key, const struct search_context *context, struct search_program **out,
        struct error *err)
{
	size_t capacity = count_keys(key, 0);
	struct search_program *p = calloc(1, sizeof(*p) + capacity * sizeof(p->nodes[0]));
	uint32_t root;

	*out = NULL;
	if (p == NULL)
		return no_memory(err);
	arena_init(&p->arena, PROGRAM_MEMORY_MAX);
	if (!build(p, key, context, 0, &root, err)) {
		search_program_free(&p);
		return false;
	}
	CHECK(p->count == capacity && root == 0);
	*out = p;
	return true;
}

void search_program_free(struct search_program **program)
{
	struct search_program *p = *program;

	if (p == NULL)
		return;
	for (uint32_t i = 0; i < p->count; i++)
		if (has_text(p->nodes[i].kind))
			text_needle_free(&p->nodes[i].needle);
	arena_free(&p->arena);
	free(p);
	*program = NULL;
}

bool search_program_uses(const struct search_program *program, enum search_level level)
{
	return (program->levels & 1u << level) != 0;
}

unsigned search_program_wants(const struct search_program *program)
{
	return program->wants;
}

bool search_program_uses_save_dates(const struct search_program *program)
{
	return program->save_dates;
}

size_t search_program_text_keys(const struct search_program *program)
{
	return program->text_keys;
}

bool search_program_has_numbers(const struct search_program *program)
{
	return program->numbers;
}

bool search_program_has_modseq(const struct search_program *program)
{
	return program->modseq;
}
