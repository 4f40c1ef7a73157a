/* common/message/params_sections.h — RFC 2231 §3 and §4.1: name*0, name*1*, ... joined into one parameter. For params.c. */
#ifndef MESSAGE_PARAMS_SECTIONS_H
#define MESSAGE_PARAMS_SECTIONS_H

#include "message/params.h"

/* Each complete run of sections becomes one parameter in the place of the first, "name*" when a section is encoded; what makes
 * no complete run stays as it was sent. Lack of memory shows in the arena. Any thread. */
void params_join_sections(struct arena *arena, struct mime_params *params);

#endif
