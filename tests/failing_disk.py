"""A disk that fails every so often: a library between a process and the system, built where a compiler is there."""

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["FailingDisk"]

#: Fails what is written, and brought to the disk, every so often: on the database and its log alone, and only as long
#: as there is a file that says so. Each failure is one letter in another file.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned long writes, syncs;

static int fails(int fd, char kind, const char *every, unsigned long *count) {
    const char *database = getenv("SHIM_DATABASE");
    char link[64], path[4096];
    if (!database || access(getenv("SHIM_SWITCH"), F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, database, strlen(database)) != 0) return 0;
    unsigned long number = __sync_add_and_fetch(count, 1);
    if (number % strtoul(getenv(every), NULL, 10) != 0) return 0;
    int told = open(getenv("SHIM_TOLD"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    syscall(SYS_write, told, &kind, 1);
    close(told);
    errno = kind == 'f' || number % 2 ? EIO : ENOSPC;
    return 1;
}

#define WRITES(name, given, passed) \
    ssize_t name given { \
        static ssize_t (*real) given; \
        if (!real) real = dlsym(RTLD_NEXT, #name); \
        return fails(fd, 'w', "SHIM_WRITES", &writes) ? -1 : real passed; \
    }
WRITES(write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
WRITES(pwrite, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size, at))
WRITES(pwrite64, (int fd, const void *bytes, size_t size, off64_t at), (fd, bytes, size, at))

#define SYNCS(name) \
    int name(int fd) { \
        static int (*real)(int); \
        if (!real) real = dlsym(RTLD_NEXT, #name); \
        return fails(fd, 'f', "SHIM_SYNCS", &syncs) ? -1 : real(fd); \
    }
SYNCS(fsync)
SYNCS(fdatasync)
"""


class FailingDisk:
    """Between the daemon and its database; built from `SHIM`."""

    def __init__(self, folder: Path, database: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("no C compiler (cc, gcc), which builds what fails the daemon's writes")
        source, library = folder / "failing.c", folder / "failing.so"
        source.write_text(SHIM)
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        self._switch, self._told = folder / "fails", folder / "failed"
        self.environ = {
            "LD_PRELOAD": str(library),
            "SHIM_DATABASE": str(database),
            "SHIM_SWITCH": str(self._switch),
            "SHIM_TOLD": str(self._told),
            "SHIM_WRITES": "101",
            "SHIM_SYNCS": "5",
        }

    def fail(self) -> None:
        """From now on."""
        self._told.write_text("")
        self._switch.touch()

    def work(self) -> None:
        """As any other again."""
        self._switch.unlink()

    def failed(self) -> bool:
        """Whether both writes and syncs failed since it fails."""
        return {"w", "f"} <= set(self._told.read_text())
