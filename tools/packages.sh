# shellcheck shell=sh disable=SC2154
# Sourced by ./quickstart and ./run-tests: which Debian packages are missing, and installing them. $log must name a file.

# Prints the packages that the build needs and that are missing.
missing_build_packages() {
    command -v gcc >/dev/null || command -v cc >/dev/null || echo gcc libc6-dev
    command -v meson >/dev/null || echo meson
    command -v ninja >/dev/null || echo ninja-build
    command -v python3 >/dev/null || echo python3
    if ! command -v pkg-config >/dev/null; then
        echo pkgconf libssl-dev libzstd-dev zlib1g-dev libsqlite3-dev libjansson-dev libyaml-dev libcurl4-openssl-dev
        return
    fi
    pkg-config --exists 'libcrypto >= 3.0' || echo libssl-dev
    pkg-config --exists 'libzstd >= 1.4' || echo libzstd-dev
    pkg-config --exists zlib || echo zlib1g-dev
    pkg-config --exists 'sqlite3 >= 3.34' || echo libsqlite3-dev
    pkg-config --exists 'jansson >= 2.13' || echo libjansson-dev
    pkg-config --exists 'yaml-0.1 >= 0.2.1' || echo libyaml-dev
    pkg-config --exists libcurl || echo libcurl4-openssl-dev
}

# The same for the tests.
missing_test_packages() {
    missing_build_packages
    [ -e /usr/share/zoneinfo/Europe/Berlin ] || echo tzdata
    { command -v pkg-config >/dev/null && pkg-config --exists cmocka; } || echo libcmocka-dev
    for need in redis-server:redis-server redis-benchmark:redis-tools openssl:openssl restic:restic setfacl:acl setfattr:attr sqlite3:sqlite3 git:git strace:strace valgrind:valgrind shellcheck:shellcheck \
        clang:clang clang-format:clang-format clang-tidy:clang-tidy gcovr:gcovr; do
        command -v "${need%%:*}" >/dev/null || echo "${need#*:}"
    done
    # PostgreSQL's server is in no directory of PATH; its package brings the extensions, too.
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || echo postgresql
    # A real engine for containers: where it does not start, only a stand-in is tested.
    command -v dockerd >/dev/null || echo docker.io
    # The programs alone: neither systemd nor cron has to run.
    for need in systemd-analyze:systemd crontab:cron; do
        command -v "${need%%:*}" >/dev/null || echo "${need#*:}"
    done
    for need in gpg:gpg gpg-agent:gpg-agent zstd:zstd bsdtar:libarchive-tools busybox:busybox pgrep:procps; do
        command -v "${need%%:*}" >/dev/null || echo "${need#*:}"
    done
    # A real SMTP server, for the system's own Python (another one may come first in PATH).
    /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || echo python3-aiosmtpd
    # Clang's own part of the sanitizers and of libFuzzer is a package of its own, which clang only recommends.
    if command -v clang >/dev/null; then
        echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
            clang -x c -fsanitize=fuzzer,address,undefined -o /dev/null - 2>/dev/null || echo libclang-rt-dev
    else
        echo libclang-rt-dev
    fi
}

# What it takes to boot a machine for ./run-tests --with-systemd.
missing_machine_packages() {
    for need in systemd-nspawn:systemd-container debootstrap:debootstrap nsenter:util-linux; do
        command -v "${need%%:*}" >/dev/null || echo "${need#*:}"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

can_be_root() {
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null
}

# apt_install PACKAGE…: the lists of packages are fetched only when they turn out to be missing or too old.
apt_install() {
    set -- env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends "$@"
    as_root "$@" >>"$log" 2>&1 || {
        as_root apt-get -q -o DPkg::Lock::Timeout=300 update >>"$log" 2>&1 && as_root "$@" >>"$log" 2>&1
    }
}
