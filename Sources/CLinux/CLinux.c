#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const uint32_t drover_epoll_in = EPOLLIN;
const uint32_t drover_epoll_out = EPOLLOUT;
const uint32_t drover_epoll_err = EPOLLERR;
const uint32_t drover_epoll_hup = EPOLLHUP;
const uint32_t drover_epoll_rdhup = EPOLLRDHUP;

int drover_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static int control(int epoll, int operation, int descriptor, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data.u64 = token};
    return epoll_ctl(epoll, operation, descriptor, &event);
}

int drover_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t token) {
    return control(epoll, EPOLL_CTL_ADD, descriptor, events, token);
}

int drover_epoll_modify(int epoll, int descriptor, uint32_t events, uint64_t token) {
    return control(epoll, EPOLL_CTL_MOD, descriptor, events, token);
}

int drover_epoll_remove(int epoll, int descriptor) { return control(epoll, EPOLL_CTL_DEL, descriptor, 0, 0); }

int drover_epoll_wait(int epoll, struct drover_epoll_event *events, int capacity, int64_t nanoseconds) {
    struct epoll_event buffer[64];
    if (capacity > 64) capacity = 64;
    /* epoll_wait counts in milliseconds; round up, or a timer that is due in 0.4 ms would spin. */
    int timeout = -1;
    if (nanoseconds >= 0) {
        int64_t milliseconds = (nanoseconds + 999999) / 1000000;
        timeout = milliseconds > 86400000 ? 86400000 : (int)milliseconds;
    }
    int count = epoll_wait(epoll, buffer, capacity, timeout);
    for (int i = 0; i < count; i++) {
        events[i].events = buffer[i].events;
        events[i].token = buffer[i].data.u64;
    }
    return count;
}

int drover_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

int drover_eventfd_signal(int descriptor) {
    uint64_t one = 1;
    return write(descriptor, &one, sizeof one) == (ssize_t)sizeof one || errno == EAGAIN ? 0 : -1;
}

void drover_eventfd_drain(int descriptor) {
    uint64_t value;
    while (read(descriptor, &value, sizeof value) > 0) {
    }
}

int drover_set_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }

int drover_set_child_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1); }

int drover_set_process_name(const char *name) { return prctl(PR_SET_NAME, name); }

int drover_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int drover_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, (void *)0, 0);
}

int drover_parent_user_namespace(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    int own = open(path, O_RDONLY | O_CLOEXEC);
    if (own < 0) return -1;
    int parent = ioctl(own, NS_GET_PARENT);
    close(own);
    if (parent >= 0) fcntl(parent, F_SETFD, FD_CLOEXEC);
    return parent;
}

int drover_pipe(int *reading, int *writing) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    *reading = ends[0];
    *writing = ends[1];
    return fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

int drover_spawn(const char *path, char *const *arguments, char *const *environment, const int *descriptors, int count,
                 pid_t *pid) {
    enum { most = 16 };
    int copies[most];
    if (count < 0 || count > most) return EINVAL;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int made = 0;
    int error = 0;
    /* Copies above every target, or a dup2 could overwrite the source of a later one. */
    for (; made < count; made++) {
        copies[made] = fcntl(descriptors[made], F_DUPFD_CLOEXEC, most);
        if (copies[made] < 0) {
            error = errno;
            goto done;
        }
    }
    for (int i = 0; i < count; i++) {
        error = posix_spawn_file_actions_adddup2(&actions, copies[i], i);
        if (error) goto done;
    }
    error = posix_spawn_file_actions_addclosefrom_np(&actions, count);
    if (error) goto done;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    error = posix_spawn(pid, path, &actions, &attributes, arguments, environment);
done:
    for (int i = 0; i < made; i++) close(copies[i]);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int drover_exit_code(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : 255;
}

static void child(const struct drover_program *request, pid_t parent, volatile int *error) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int signal = 1; signal < 65; signal++) sigaction(signal, &action, 0);
    sigset_t none;
    sigemptyset(&none);
    if (setsid() < 0) goto failed;
    if (request->parent_death_signal && prctl(PR_SET_PDEATHSIG, request->parent_death_signal) != 0) goto failed;
    /* The parent may have died before the line above; 0 is a parent outside of the pid namespace. */
    pid_t now = getppid();
    if (request->parent_death_signal && now != parent && now != 0) {
        errno = ESRCH;
        goto failed;
    }
    int input = request->standard_input;
    if (input < 0 && (input = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) goto failed;
    /* Out of the way of 0 to 3 first, so that no dup2 overwrites a later source. */
    int sources[4] = {input, request->standard_output, request->standard_error, request->passed};
    for (int i = 0; i < 4; i++) {
        if (sources[i] >= 0 && (sources[i] = fcntl(sources[i], F_DUPFD_CLOEXEC, 10)) < 0) goto failed;
    }
    for (int i = 0; i < 4; i++) {
        if (sources[i] >= 0 && dup2(sources[i], i) < 0) goto failed;
    }
    if (syscall(SYS_close_range, request->passed >= 0 ? 4U : 3U, ~0U, 0U) != 0) goto failed;
    sigprocmask(SIG_SETMASK, &none, 0);
    execve(request->path, request->arguments, request->environment);
failed:
    *error = errno;
    _exit(127);
}

pid_t drover_spawn_program(const struct drover_program *request) {
    volatile int error = 0;
    pid_t parent = getpid();
    sigset_t all, old;
    /* No handler of ours may run in the child while it shares our memory. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = vfork();
    if (pid == 0) child(request, parent, &error);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &old, 0);
    if (pid < 0) {
        errno = saved;
        return -1;
    }
    if (error) {
        waitpid(pid, 0, 0);
        errno = error;
        return -1;
    }
    return pid;
}

static int signal_descriptors[65];

static void handle_signal(int signal) {
    int saved = errno;
    drover_eventfd_signal(signal_descriptors[signal]);
    errno = saved;
}

int drover_signal_to_eventfd(int signal, int descriptor) {
    if (signal < 1 || signal > 64) {
        errno = EINVAL;
        return -1;
    }
    signal_descriptors[signal] = descriptor;
    struct sigaction action = {.sa_handler = handle_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    return sigaction(signal, &action, 0);
}

pid_t drover_reap(pid_t pid, int *exit_code, int *signal) {
    int status = 0;
    pid_t reaped = waitpid(pid, &status, WNOHANG);
    *exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    *signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return reaped;
}

int drover_packet_pair(int *pair) {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
}

uint64_t drover_boot_time_nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

int drover_exec_in_new_network(const char *path, char *const *arguments, pid_t parent) {
    if (unshare(CLONE_NEWNET) != 0) return -1;
    /* Belongs to the thread, and the one that calls execve goes on; a thread of a pool has neither this nor all signals. */
    if (parent > 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return -1;
        if (getppid() != parent) {
            errno = ESRCH;
            return -1;
        }
    }
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, 0);
    return execv(path, arguments);
}
