#include "smtpd/outbound/parcel.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

struct letter {
	unsigned refs;
	struct queue_message *message;
	struct fate fates[]; /* one for each recipient */
};

static void letter_release(struct letter *letter)
{
	CHECK(letter->refs > 0);
	if (--letter->refs > 0)
		return;
	queue_message_free(&letter->message);
	free(letter);
}

void parcel_forget_conversion(struct parcel *parcel)
{
	spool_free(&parcel->converted);
	parcel->eight_bit = (parcel->part.flags & QUEUE_8BIT) != 0;
	parcel->binary = false; /* smtpd makes lines of it when it comes in */
	parcel->smtputf8 = (parcel->part.flags & QUEUE_SMTPUTF8) != 0;
}

struct parcel *parcel_new(struct relay *relay, struct queue_message *message)
{
	struct letter *letter = calloc(1, sizeof(*letter) + message->recipient_count * sizeof(letter->fates[0]));
	struct parcel *parcel = calloc(1, sizeof(*parcel));

	if (letter == NULL || parcel == NULL) {
		free(letter);
		free(parcel);
		queue_message_free(&message);
		return NULL;
	}
	letter->refs = 1;
	letter->message = message;
	parcel->relay = relay;
	parcel->letter = letter;
	parcel->part = *message;
	parcel->fates = letter->fates;
	parcel_forget_conversion(parcel);
	return parcel;
}

void parcel_free(struct parcel **parcel)
{
	struct parcel *it = *parcel;

	if (it == NULL)
		return;
	spool_free(&it->converted);
	letter_release(it->letter);
	free(it);
	*parcel = NULL;
}

struct parcel *parcel_split(struct parcel *parcel, size_t keep)
{
	struct parcel *rest = malloc(sizeof(*rest));

	CHECK(keep < parcel->part.recipient_count && parcel->link == NULL);
	if (rest == NULL)
		return NULL;
	*rest = *parcel;
	rest->next = NULL;
	rest->converted = NULL;
	rest->letter->refs++;
	rest->part.recipients += keep;
	rest->part.recipient_count -= keep;
	rest->fates += keep;
	parcel->part.recipient_count = keep;
	parcel_forget_conversion(rest);
	return rest;
}

static void swap(struct parcel *parcel, size_t a, size_t b)
{
	struct queue_rcpt rcpt = parcel->part.recipients[a];
	struct fate fate = parcel->fates[a];

	parcel->part.recipients[a] = parcel->part.recipients[b];
	parcel->fates[a] = parcel->fates[b];
	parcel->part.recipients[b] = rcpt;
	parcel->fates[b] = fate;
}

size_t parcel_sort(struct parcel *parcel, bool (*apart)(const struct fate *fate))
{
	size_t keep = 0;

	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		if (!apart(&parcel->fates[i])) {
			if (i != keep)
				swap(parcel, i, keep);
			keep++;
		}
	return keep;
}

bool parcel_read(void *arg, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
	const struct parcel *parcel = arg;

	if (parcel->converted != NULL)
		return spool_read(parcel->converted, offset, out, size, got, err);
	return queue_read(parcel->relay->queue, parcel->part.id, offset, out, size, got, err);
}

uint64_t parcel_size(const struct parcel *parcel)
{
	return parcel->converted != NULL ? spool_size(parcel->converted) : parcel->part.size;
}

void parcel_list_add(struct parcel_list *list, struct parcel *parcel)
{
	parcel->next = NULL;
	if (list->first == NULL)
		list->first = parcel;
	else
		*list->end = parcel;
	list->end = &parcel->next;
	list->count++;
}

void parcel_list_add_first(struct parcel_list *list, struct parcel *parcel)
{
	parcel->next = list->first;
	if (list->first == NULL)
		list->end = &parcel->next;
	list->first = parcel;
	list->count++;
}

struct parcel *parcel_list_take(struct parcel_list *list)
{
	struct parcel *parcel = list->first;

	if (parcel == NULL)
		return NULL;
	list->first = parcel->next;
	parcel->next = NULL;
	list->count--;
	return parcel;
}
