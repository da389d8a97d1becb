/* Preloaded into the daemon, it writes down in order every call that changes a file or a directory below
 * CRASH_ROOT, once it has succeeded, and where each flush began and ended. crash/log.rs reads what it writes.
 *
 * A call that it knows about but cannot write down ends the daemon, so that no change goes unseen. Left out are SQLite's
 * "-shm" file, which is built anew at each start, and the folder "tmp", which is emptied then.
 *
 * When the file CRASH_KILL appears, the process ends at once, but between two calls: one that was done and not yet written
 * down would otherwise be missing from the log although the next process has seen what it did. If the file has something in
 * it, that is a path below the root, and the process ends when this file or directory is about to be flushed.
 *
 * A file CRASH_FAULT makes calls fail: "KINDS ERRNO FROM COUNT", where KINDS are letters of KIND_LETTERS, so many calls of
 * these kinds are let pass first, and so many fail then. The recorder takes the file away when it has read it, and writes
 * down each failure. "- 0 0 0" ends it. "t 0 SECONDS 0" moves the clock of the day. Calls fail below the root only, but for
 * those that take a connection. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE, SYNC_BEGIN, SYNC_END, OPEN, RENAME, UNLINK, MKDIR, START, FAULT, LOST };
/* write, flush, open, name, read, accept, open for writing */
#define KIND_LETTERS "wfonrac"
enum { ON_WRITE = 1, ON_FLUSH = 2, ON_OPEN = 4, ON_NAME = 8, ON_READ = 16, ON_ACCEPT = 32, ON_CHANGE = 64 };
enum { PIECES_MAX = 1024 };

struct record {
    uint32_t size; /* of the whole record */
    uint32_t kind;
    uint64_t inode;
    uint64_t a;
    uint64_t b;
};

static int log_fd = -1;
static char root[PATH_MAX];
static size_t root_len;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t names = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t life = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static uint64_t flushes;
static char kill_file[PATH_MAX];
/* Before the flush of what the process is to end, once there is something in it. */
static char edge[PATH_MAX];
static int is_armed, is_at_edge;
static char fault_file[PATH_MAX];
/* What is to fail: set by one thread while none is in effect, and read by all. */
static struct {
    int kinds, error;
    long from, count, seen;
} fault;
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static long clock_offset;

static void die(const char *what) {
    dprintf(2, "recorder: %s\n", what);
    _exit(86);
}

static void look_for_fault(void) {
    if (!fault_file[0]) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, fault_file, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return;
    char text[128] = "", kinds[16] = "";
    int error = 0;
    long from = 0, count = 0;
    ssize_t len = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (len <= 0 || sscanf(text, "%15s %d %ld %ld", kinds, &error, &from, &count) != 4) die("a fault that says nothing");
    if (kinds[0] == 't') {
        __atomic_store_n(&clock_offset, from, __ATOMIC_SEQ_CST);
    } else {
        int mask = 0;
        for (const char *kind = kinds; *kind && *kind != '-'; kind++) {
            const char *known = strchr(KIND_LETTERS, *kind);
            if (!known) die("a fault of an unknown kind");
            mask |= 1 << (known - KIND_LETTERS);
        }
        pthread_mutex_lock(&fault_lock);
        fault.error = error;
        fault.from = from;
        fault.count = count;
        fault.seen = 0;
        __atomic_store_n(&fault.kinds, mask, __ATOMIC_SEQ_CST);
        pthread_mutex_unlock(&fault_lock);
    }
    syscall(SYS_unlinkat, AT_FDCWD, fault_file, 0);
}

static void *wait_for_end(void *nothing) {
    (void)nothing;
    for (;; usleep(1000)) {
        look_for_fault();
        int fd = (int)syscall(SYS_openat, AT_FDCWD, kill_file, O_RDONLY | O_CLOEXEC, 0);
        if (fd < 0) continue;
        ssize_t len = syscall(SYS_read, fd, edge, sizeof edge - 1);
        syscall(SYS_close, fd);
        if (len > 0) {
            __atomic_store_n(&is_armed, 1, __ATOMIC_SEQ_CST);
            syscall(SYS_unlinkat, AT_FDCWD, kill_file, 0);
            while (!__atomic_load_n(&is_at_edge, __ATOMIC_SEQ_CST)) usleep(1000);
        }
        pthread_rwlock_wrlock(&life);
        syscall(SYS_unlinkat, AT_FDCWD, kill_file, 0);
        syscall(SYS_exit_group, 137);
    }
    return NULL;
}

static void begin(void) {
    const char *dir = getenv("CRASH_ROOT"), *file = getenv("CRASH_LOG"), *end = getenv("CRASH_KILL");
    if (!dir || !file || !end) return;
    if (strlen(dir) >= sizeof root || strlen(end) >= sizeof kill_file) die("a path is too long");
    strcpy(kill_file, end);
    const char *faults = getenv("CRASH_FAULT");
    if (faults && strlen(faults) < sizeof fault_file) strcpy(fault_file, faults);
    strcpy(root, dir);
    root_len = strlen(root);
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log_fd < 0) die("the log cannot be opened");
    struct record record = {sizeof record, START, 0, (uint64_t)getpid(), 0};
    if (syscall(SYS_write, log_fd, &record, sizeof record) != sizeof record) die("the log cannot be written");
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_for_end, NULL)) die("no thread");
}

/* A wrapped call, from before it is done until it is written down. */
static void enter(void) {
    pthread_once(&once, begin);
    if (log_fd >= 0) pthread_rwlock_rdlock(&life);
}

static void leave(void) {
    if (log_fd >= 0) pthread_rwlock_unlock(&life);
}

/* One record is one write to a file that is open for appending, so records of several threads do not mix. */
static void put(uint32_t kind, uint64_t inode, uint64_t a, const struct iovec *pieces, int count, size_t octets) {
    int error = errno;
    struct iovec all[PIECES_MAX + 1];
    struct record record = {0, kind, inode, a, 0};
    size_t left = octets;
    int used = 1;
    if (count > PIECES_MAX) die("too many pieces");
    for (int i = 0; i < count && left; i++) {
        all[used] = pieces[i];
        if (all[used].iov_len > left) all[used].iov_len = left;
        left -= all[used++].iov_len;
    }
    record.size = (uint32_t)(sizeof record + octets);
    all[0].iov_base = &record;
    all[0].iov_len = sizeof record;
    if (syscall(SYS_writev, log_fd, all, used) != (ssize_t)record.size) die("the log cannot be written");
    errno = error;
}

static void put_text(uint32_t kind, uint64_t inode, uint64_t a, const char *text, size_t len) {
    struct iovec piece = {(void *)text, len};
    put(kind, inode, a, &piece, 1, len);
}

/* Whether a call of this kind is to fail now; then errno says how. */
static int is_spoilt(int kind) {
    if (!(__atomic_load_n(&fault.kinds, __ATOMIC_SEQ_CST) & kind)) return 0;
    pthread_mutex_lock(&fault_lock);
    long number = fault.seen++;
    int spoilt = (fault.kinds & kind) && number >= fault.from && number < fault.from + fault.count;
    int error = fault.error;
    if (number + 1 >= fault.from + fault.count) __atomic_store_n(&fault.kinds, 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&fault_lock);
    if (!spoilt) return 0;
    put_text(FAULT, (uint64_t)kind, (uint64_t)error, "", 0);
    errno = error;
    return 1;
}

/* Linux forgets what it could not write, and tells it once to each descriptor that was open then: a later flush by any other
 * of them fails as well, and the one after it says yes and does not write what was forgotten. */
enum { LOSSES_MAX = 4096, DESCRIPTORS_MAX = 1 << 16 };
static struct {
    uint64_t inode;
    uint32_t count;
} losses[LOSSES_MAX];
static uint32_t told[DESCRIPTORS_MAX];
static pthread_mutex_t loss_lock = PTHREAD_MUTEX_INITIALIZER;

/* How often something of a file was lost; a loss more, if there is one. */
static uint32_t losses_of(uint64_t inode, int more) {
    for (int i = 0; i < LOSSES_MAX; i++) {
        if (!losses[i].inode && !more) return 0;
        if (!losses[i].inode) losses[i].inode = inode;
        if (losses[i].inode == inode) return losses[i].count += (uint32_t)more;
    }
    die("too many files with losses");
    return 0;
}

/* What a descriptor that is open from now on was told. */
static void opened(int fd) {
    struct stat stat;
    int error = errno;
    if (fd < 0 || fd >= DESCRIPTORS_MAX || fstat(fd, &stat)) return;
    pthread_mutex_lock(&loss_lock);
    told[fd] = losses_of(stat.st_ino, 0);
    pthread_mutex_unlock(&loss_lock);
    errno = error;
}

/* Whether this flush fails; for the first time, or because another did before. */
static int is_flush_spoilt(int fd, uint64_t inode) {
    if (fd >= DESCRIPTORS_MAX) die("a descriptor beyond the table");
    int spoilt = is_spoilt(ON_FLUSH);
    pthread_mutex_lock(&loss_lock);
    uint32_t count = losses_of(inode, spoilt);
    if (spoilt) put_text(LOST, inode, 0, "", 0);
    else spoilt = told[fd] < count;
    told[fd] = count;
    pthread_mutex_unlock(&loss_lock);
    if (spoilt) errno = EIO;
    return spoilt;
}

/* The part of a whole path below the root, or NULL. */
static const char *below(const char *path) {
    if (strncmp(path, root, root_len) || (path[root_len] && path[root_len] != '/')) return NULL;
    size_t len = strlen(path);
    if (len > 4 && !strcmp(path + len - 4, "-shm")) return NULL;
    if (!strncmp(path + root_len, "/tmp/", 5)) return NULL;
    return path[root_len] ? path + root_len + 1 : path + root_len;
}

static const char *resolve(int dir, const char *path, char *space) {
    pthread_once(&once, begin);
    if (log_fd < 0 || !path) return NULL;
    if (path[0] == '/') return below(path);
    char link[64];
    ssize_t len;
    if (dir == AT_FDCWD) strcpy(link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    len = syscall(SYS_readlinkat, AT_FDCWD, link, space, PATH_MAX - 1);
    if (len < 0 || (size_t)len + strlen(path) + 2 > PATH_MAX) return NULL;
    space[len] = '/';
    strcpy(space + len + 1, path);
    return below(space);
}

/* The path below the root of an open file or directory, or NULL; its inode. */
static const char *path_of(int fd, uint64_t *inode, char *path) {
    pthread_once(&once, begin);
    if (log_fd < 0 || fd == log_fd) return NULL;
    int error = errno;
    struct stat stat;
    char link[64];
    const char *ours = NULL;
    if (!fstat(fd, &stat) && (S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode))) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
        if (len > 0) {
            path[len] = 0;
            ours = below(path);
            *inode = stat.st_ino;
        }
    }
    errno = error;
    return ours;
}

static int is_ours(int fd, uint64_t *inode) {
    char path[PATH_MAX];
    return path_of(fd, inode, path) != NULL;
}

static int do_open(int dir, const char *path, int flags, mode_t mode) {
    char space[PATH_MAX];
    const char *ours = resolve(dir, path, space);
    const char *name = flags & (O_CREAT | O_TRUNC) ? ours : NULL;
    if (ours && is_spoilt(ON_OPEN)) return -1;
    if (ours && (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) != O_RDONLY && is_spoilt(ON_CHANGE)) return -1;
    if (!name) {
        int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
        if (ours) opened(fd);
        return fd;
    }
    if ((flags & O_TMPFILE) == O_TMPFILE) die("O_TMPFILE");
    enter();
    pthread_mutex_lock(&names);
    int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    uint64_t inode;
    opened(fd);
    if (fd >= 0 && is_ours(fd, &inode)) put_text(OPEN, inode, !!(flags & O_TRUNC), name, strlen(name));
    pthread_mutex_unlock(&names);
    leave();
    return fd;
}

#define MODE(flags)                                    \
    mode_t mode = 0;                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {             \
        va_list more;                                  \
        va_start(more, flags);                         \
        mode = va_arg(more, mode_t);                   \
        va_end(more);                                  \
    }

int open(const char *path, int flags, ...) { MODE(flags) return do_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return do_open(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE(flags) return do_open(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE(flags) return do_open(dir, path, flags, mode); }
int creat(const char *path, mode_t mode) { return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

static ssize_t write_here(int fd, const struct iovec *pieces, int count) {
    uint64_t inode;
    if (!is_ours(fd, &inode)) return syscall(SYS_writev, fd, pieces, count);
    if (is_spoilt(ON_WRITE)) return -1;
    enter();
    ssize_t done = syscall(SYS_writev, fd, pieces, count);
    if (done > 0) {
        off_t end = lseek(fd, 0, SEEK_CUR);
        put(WRITE, inode, (uint64_t)(end - done), pieces, count, (size_t)done);
    }
    leave();
    return done;
}

ssize_t write(int fd, const void *octets, size_t len) {
    struct iovec piece = {(void *)octets, len};
    return write_here(fd, &piece, 1);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    return write_here(fd, pieces, count);
}

ssize_t pwrite64(int fd, const void *octets, size_t len, off64_t at) {
    uint64_t inode;
    if (!is_ours(fd, &inode)) return syscall(SYS_pwrite64, fd, octets, len, at);
    if (is_spoilt(ON_WRITE)) {
        /* A disk that fills up takes the first part. */
        if (errno != ENOSPC || len < 2 || fault.seen % 2) return -1;
        len /= 2;
    }
    enter();
    ssize_t done = syscall(SYS_pwrite64, fd, octets, len, at);
    if (done > 0) put_text(WRITE, inode, (uint64_t)at, octets, (size_t)done);
    leave();
    return done;
}
ssize_t pwrite(int fd, const void *octets, size_t len, off_t at) { return pwrite64(fd, octets, len, at); }

int ftruncate64(int fd, off64_t len) {
    uint64_t inode;
    if (!is_ours(fd, &inode)) return (int)syscall(SYS_ftruncate, fd, len);
    if (is_spoilt(ON_WRITE)) return -1;
    enter();
    int outcome = (int)syscall(SYS_ftruncate, fd, len);
    if (!outcome) put_text(TRUNCATE, inode, (uint64_t)len, "", 0);
    leave();
    return outcome;
}
int ftruncate(int fd, off_t len) { return ftruncate64(fd, len); }

static int flush(long call, int fd) {
    uint64_t inode, number;
    char space[PATH_MAX];
    const char *path = path_of(fd, &inode, space);
    if (!path) return (int)syscall(call, fd);
    if (__atomic_load_n(&is_armed, __ATOMIC_SEQ_CST) && !strcmp(path, edge)) {
        __atomic_store_n(&is_at_edge, 1, __ATOMIC_SEQ_CST);
        for (;;) pause();
    }
    if (is_flush_spoilt(fd, inode)) return -1;
    enter();
    number = __atomic_add_fetch(&flushes, 1, __ATOMIC_SEQ_CST) << 24 | (uint64_t)(getpid() & 0xffffff);
    put_text(SYNC_BEGIN, inode, number, path, strlen(path));
    int outcome = (int)syscall(call, fd);
    if (!outcome) put_text(SYNC_END, inode, number, "", 0);
    leave();
    return outcome;
}
int fsync(int fd) { return flush(SYS_fsync, fd); }
int fdatasync(int fd) { return flush(SYS_fdatasync, fd); }

static int do_rename(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    char space[PATH_MAX], other[PATH_MAX], both[2 * PATH_MAX];
    const char *a = resolve(from_dir, from, space), *b = resolve(to_dir, to, other);
    if (!a && !b) return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    if (!a || !b || flags) die("a rename that leaves the directory");
    if (is_spoilt(ON_NAME)) return -1;
    enter();
    pthread_mutex_lock(&names);
    int outcome = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
    if (!outcome) {
        size_t len = strlen(a);
        memcpy(both, a, len + 1);
        strcpy(both + len + 1, b);
        put_text(RENAME, 0, 0, both, len + 1 + strlen(b));
    }
    pthread_mutex_unlock(&names);
    leave();
    return outcome;
}
int rename(const char *from, const char *to) { return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int d, const char *from, int e, const char *to) { return do_rename(d, from, e, to, 0); }
int renameat2(int d, const char *from, int e, const char *to, unsigned f) { return do_rename(d, from, e, to, f); }

static int do_unlink(int dir, const char *path, int flags) {
    char space[PATH_MAX];
    const char *name = resolve(dir, path, space);
    if (!name) return (int)syscall(SYS_unlinkat, dir, path, flags);
    if (is_spoilt(ON_NAME)) return -1;
    enter();
    pthread_mutex_lock(&names);
    int outcome = (int)syscall(SYS_unlinkat, dir, path, flags);
    if (!outcome) put_text(UNLINK, 0, 0, name, strlen(name));
    pthread_mutex_unlock(&names);
    leave();
    return outcome;
}
int unlink(const char *path) { return do_unlink(AT_FDCWD, path, 0); }
int unlinkat(int dir, const char *path, int flags) { return do_unlink(dir, path, flags); }
int rmdir(const char *path) { return do_unlink(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    int outcome = do_unlink(AT_FDCWD, path, 0);
    return outcome && errno == EISDIR ? do_unlink(AT_FDCWD, path, AT_REMOVEDIR) : outcome;
}

int mkdirat(int dir, const char *path, mode_t mode) {
    char space[PATH_MAX];
    const char *name = resolve(dir, path, space);
    if (!name) return (int)syscall(SYS_mkdirat, dir, path, mode);
    if (is_spoilt(ON_NAME)) return -1;
    enter();
    pthread_mutex_lock(&names);
    int outcome = (int)syscall(SYS_mkdirat, dir, path, mode);
    struct stat stat;
    if (!outcome && !fstatat(dir, path, &stat, 0)) put_text(MKDIR, stat.st_ino, 0, name, strlen(name));
    pthread_mutex_unlock(&names);
    leave();
    return outcome;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* Reading is not written down, and fails as it is told. */
ssize_t read(int fd, void *octets, size_t len) {
    uint64_t inode;
    if (__atomic_load_n(&fault.kinds, __ATOMIC_SEQ_CST) & ON_READ && is_ours(fd, &inode) && is_spoilt(ON_READ)) return -1;
    return syscall(SYS_read, fd, octets, len);
}
ssize_t pread64(int fd, void *octets, size_t len, off64_t at) {
    uint64_t inode;
    if (__atomic_load_n(&fault.kinds, __ATOMIC_SEQ_CST) & ON_READ && is_ours(fd, &inode) && is_spoilt(ON_READ)) return -1;
    return syscall(SYS_pread64, fd, octets, len, at);
}
ssize_t pread(int fd, void *octets, size_t len, off_t at) { return pread64(fd, octets, len, at); }

int accept4(int fd, struct sockaddr *from, socklen_t *len, int flags) {
    pthread_once(&once, begin);
    if (log_fd >= 0 && is_spoilt(ON_ACCEPT)) return -1;
    return (int)syscall(SYS_accept4, fd, from, len, flags);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int outcome = (int)syscall(SYS_clock_gettime, clock, now);
    if (!outcome && clock == CLOCK_REALTIME) now->tv_sec += __atomic_load_n(&clock_offset, __ATOMIC_SEQ_CST);
    return outcome;
}

/* What the daemon does not do today; if it begins to, the recorder must learn it first. */
static void refuse(int fd, const char *what) {
    uint64_t inode;
    if (is_ours(fd, &inode)) die(what);
}
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at) {
    refuse(fd, "pwritev");
    return syscall(SYS_pwritev, fd, v, n, at, 0L);
}
ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at) { return pwritev(fd, v, n, at); }
int fallocate64(int fd, int mode, off64_t at, off64_t len) {
    refuse(fd, "fallocate");
    return (int)syscall(SYS_fallocate, fd, mode, at, len);
}
int fallocate(int fd, int mode, off_t at, off_t len) { return fallocate64(fd, mode, at, len); }
int posix_fallocate64(int fd, off64_t at, off64_t len) { return fallocate64(fd, 0, at, len) ? errno : 0; }
int posix_fallocate(int fd, off_t at, off_t len) { return posix_fallocate64(fd, at, len); }
ssize_t sendfile64(int to, int from, off64_t *at, size_t len) {
    refuse(to, "sendfile");
    return syscall(SYS_sendfile, to, from, at, len);
}
ssize_t sendfile(int to, int from, off_t *at, size_t len) { return sendfile64(to, from, at, len); }
ssize_t copy_file_range(int from, off64_t *a, int to, off64_t *b, size_t len, unsigned flags) {
    refuse(to, "copy_file_range");
    return syscall(SYS_copy_file_range, from, a, to, b, len, flags);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    char space[PATH_MAX];
    if (resolve(b, to, space)) die("link");
    return (int)syscall(SYS_linkat, a, from, b, to, flags);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
int symlinkat(const char *target, int dir, const char *path) {
    char space[PATH_MAX];
    if (resolve(dir, path, space)) die("symlink");
    return (int)syscall(SYS_symlinkat, target, dir, path);
}
int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }
void *mmap64(void *at, size_t len, int protection, int flags, int fd, off64_t offset) {
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE)) refuse(fd, "a shared mapping");
    return (void *)syscall(SYS_mmap, at, len, protection, flags, fd, offset);
}
void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset) {
    return mmap64(at, len, protection, flags, fd, offset);
}
