#include <openssl/crypto.h>
#include <sqlite3.h>
#include <string.h>
#include <zstd.h>
#include "cli/cli.h"
#include "cli/commands.h"

/* The libraries are asked, not the headers: what runs is what counts. Nothing here starts any of them up. */
static int run_version(struct cli *cli, void *options, int argc, char **argv)
{
    (void)options;
    (void)argv;
    struct err err = {0};
    if (argc > 0) {
        err_set(&err, ERR_USAGE, "'version' takes no arguments");
        return cli_fail(cli, &err);
    }
    if (cli->json) {
        cli_json(cli,
                 json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s}}", "message_type", "version", "version", CLAWBACK_VERSION,
                           "libraries", "openssl", OpenSSL_version(OPENSSL_VERSION_STRING), "zstd",
                           ZSTD_versionString(), "sqlite", sqlite3_libversion(), "jansson", jansson_version_str()));
        return 0;
    }
    cli_print(cli, "clawback %s", CLAWBACK_VERSION);
    if (cli->verbose > 0) {
        cli_print(cli, "openssl %s", OpenSSL_version(OPENSSL_VERSION_STRING));
        cli_print(cli, "zstd %s", ZSTD_versionString());
        cli_print(cli, "sqlite %s", sqlite3_libversion());
        cli_print(cli, "jansson %s", jansson_version_str());
    }
    return 0;
}

const struct command cmd_version = {
    .name = "version",
    .arguments = "",
    .summary = "Print the version",
    .description = "With --verbose or --json also those of the libraries it runs with.",
    .group = "Help",
    .run = run_version,
};
