/* known_secret.h - secrets that everybody can read somewhere: in this repository, in a manual, in a list of words
 * (issue 5, point 5). */
#ifndef PCS_CORE_KNOWN_SECRET_H
#define PCS_CORE_KNOWN_SECRET_H

enum known_secret {
    SECRET_OWN,     /* nobody has published it, as far as is known here */
    SECRET_WORD,    /* a word of the lists that passwords are guessed from, or that word over and over */
    SECRET_EXAMPLE, /* stands in this repository or in a manual, or asks to be changed ("changeme") */
};

/* Any thread, pure. The text is compared as it is; words and requests to be changed in any case. */
enum known_secret known_secret_judge(const char *secret);

#endif
