/* reserve.h - room on the disk that is kept back, so that outcomes can be written when nothing else can.
 *
 * A preallocated file beside the journal. When the disk is nearly full it is given up; it is made again when
 * there is room for it. The journal's thread only (journal_open before that). */
#ifndef JOURNAL_RESERVE_H
#define JOURNAL_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

struct reserve {
    int dir_fd; /* borrowed */
    int64_t bytes;
    bool held; /* the file is there, whole */
};

/* Makes the file if there is room. */
void reserve_init(struct reserve *r, int dir_fd, int64_t bytes);
/* Looks at the disk: gives the file up when hardly anything is free beside it, makes it again when there is
 * room. True: intents may be taken (the file is held and something is free beside it). */
bool reserve_review(struct reserve *r);
/* The disk was full: give the room to whoever must write now. */
void reserve_release(struct reserve *r);

#endif
