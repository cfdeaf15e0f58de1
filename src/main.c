/* What belongs to the process as a whole; everything else is cli_main()'s. */
#include <sys/stat.h>
#include "cli/cli.h"
#include "os/interrupt.h"

int main(int argc, char **argv)
{
    umask(077); /* nothing that we make is for others, unless it says so */
    os_interrupt_install();
    return cli_main(argc, argv);
}
