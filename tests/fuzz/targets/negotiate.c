/* Headers that choose: Accept, Accept-Language, Content-Type, Prefer (RFC 9110 12.5, RFC 7240). */
#include "fuzz/fuzz.h"
#include "http/internal.h"

#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    bool english = negotiate_english(text), problem = negotiate_problem_json(text);
    /* what was chosen was named */
    FUZZ_CHECK(!english || strcasestr(text, "en"));
    FUZZ_CHECK(!problem || strcasestr(text, "application/problem+json"));
    bool json = negotiate_json_body(text);
    FUZZ_CHECK(!json || strncasecmp(text, "application/json", 16) == 0);
    FUZZ_CHECK(!json || text[16] == '\0' || strchr(" \t;", text[16]));
    FUZZ_CHECK(!negotiate_prefers(text, "respond-async") || strcasestr(text, "respond-async"));
    FUZZ_CHECK(!negotiate_english(NULL) && !negotiate_problem_json(NULL) && !negotiate_json_body(NULL));
    /* a preference for Korean over everything is always heard */
    char *korean = NULL;
    FUZZ_CHECK(!strchr(text, '"') ? asprintf(&korean, "ko;q=1, %s", text) > 0 : 1);
    FUZZ_CHECK(!korean || !negotiate_english(korean));
    free(korean);
    free(text);
    return 0;
}
