/* files.c - the files of TLS to our neighbours. libcurl and libpq read them when they connect, where a wrong one would only
 * look like an outage, and a FIFO would stop a reactor: so they are looked at before the start. */
#include "cli/files.h"

#include "pcs/core/buf.h"
#include "pcs/delivery/delivery.h"
#include "pcs/history/history.h"
#include "pcs/product/kos.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX ((size_t)4 << 20) /* the system's list of authorities has about 220 KiB */

static const struct {
    const char *name;
    const struct config_section *section;
    size_t offset;
} files[] = {
    {"kos.tls.ca_file", &kos_config_section, offsetof(struct kos_config, ca_file)},
    {"kos.tls.client_cert", &kos_config_section, offsetof(struct kos_config, client_cert)},
    {"kos.tls.client_key", &kos_config_section, offsetof(struct kos_config, client_key)},
    {"mvno.tls.ca_file", &delivery_config_section, offsetof(struct delivery_config, ca_file)},
    {"mvno.tls.client_cert", &delivery_config_section, offsetof(struct delivery_config, client_cert)},
    {"mvno.tls.client_key", &delivery_config_section, offsetof(struct delivery_config, client_key)},
    {"db.tls.ca_file", &history_config_section, offsetof(struct history_config, ca_file)},
    {"db.tls.client_cert", &history_config_section, offsetof(struct history_config, client_cert)},
    {"db.tls.client_key", &history_config_section, offsetof(struct history_config, client_key)},
};

bool cli_check_files(const struct config *c, char *err, size_t errlen)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *values = config_values(c, files[i].section), *file;
        char why[160];
        struct buf content;
        memcpy(&file, values + files[i].offset, sizeof file);
        if (!file || !*file) {
            continue;
        }
        buf_init(&content, FILE_MAX + 8192);
        bool ok = config_read_file(file, FILE_MAX, &content, why, sizeof why);
        if (ok && content.len == 0) {
            snprintf(why, sizeof why, "is empty");
            ok = false;
        }
        if (content.data) {
            OPENSSL_cleanse(content.data, content.len);
        }
        buf_free(&content);
        if (!ok) {
            snprintf(err, errlen, "%s: %s %s", files[i].name, file, why);
            return false;
        }
    }
    return true;
}
