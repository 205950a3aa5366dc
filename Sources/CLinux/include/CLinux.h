#ifndef DROVER_CLINUX_H
#define DROVER_CLINUX_H

/* Linux interfaces that the Glibc module leaves out, or gives in a shape Swift cannot use (unions, macros). */

#include <stdint.h>
#include <sys/types.h>

/* epoll_event holds a union, so events cross as plain numbers. */
struct drover_epoll_event {
    uint32_t events;
    uint64_t token;
};

extern const uint32_t drover_epoll_in;
extern const uint32_t drover_epoll_out;
extern const uint32_t drover_epoll_err;
extern const uint32_t drover_epoll_hup;
extern const uint32_t drover_epoll_rdhup;

/* epoll(7). All return -1 with errno on failure, as the system calls do. */
int drover_epoll_create(void);
int drover_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t token);
int drover_epoll_modify(int epoll, int descriptor, uint32_t events, uint64_t token);
int drover_epoll_remove(int epoll, int descriptor);
/* `nanoseconds` < 0 waits for ever. At most 64 events are written. */
int drover_epoll_wait(int epoll, struct drover_epoll_event *_Nonnull events, int capacity, int64_t nanoseconds);

/* eventfd(2), non-blocking and close-on-exec. */
int drover_eventfd(void);
int drover_eventfd_signal(int descriptor);
void drover_eventfd_drain(int descriptor);

/* prctl(2) */
int drover_set_parent_death_signal(int signal);
int drover_set_child_subreaper(void);
int drover_set_process_name(const char *_Nonnull name);
/* pidfd_open(2): readable when the process has ended. */
int drover_pidfd_open(pid_t pid);
int drover_pidfd_send_signal(int pidfd, int signal);

/* The user namespace that owns the other namespaces of a process whose own user namespace is nested in it, as
   bubblewrap makes them; -1 with errno when there is none that the caller may see. Close-on-exec. */
int drover_parent_user_namespace(pid_t pid);

/* pipe2(2), close-on-exec; only the reading end is non-blocking. */
int drover_pipe(int *_Nonnull reading, int *_Nonnull writing);

/* posix_spawn(3) in a session of its own, with default signals and an empty mask. The child's descriptors 0, 1, ... are
   `descriptors[0]`, `descriptors[1]`, ...; every other one is closed. Returns 0 or an errno. */
int drover_spawn(const char *_Nonnull path, char *_Nullable const *_Nonnull arguments,
                 char *_Nullable const *_Nonnull environment, const int *_Nonnull descriptors, int count,
                 pid_t *_Nonnull pid);
/* Where a child's status says: exited (the exit code), or killed (128 + signal, as shells count). */
int drover_exit_code(int status);

/* A program to start. The strings and vectors are used during the call only. */
struct drover_program {
    const char *_Nonnull path;
    char *_Nullable const *_Nonnull arguments;
    char *_Nullable const *_Nonnull environment;
    /* -1 for standard input means /dev/null; -1 for the others means those of the caller. */
    int standard_input;
    int standard_output;
    int standard_error;
    /* Becomes descriptor 3 of the program, -1 for none. Every other descriptor is closed. */
    int passed;
    /* Sent to the program when the calling thread ends (so call from a thread that lives as long as the process). */
    int parent_death_signal;
};
/* Starts a program as leader of its own session, with default signals; returns its pid, or -1 with errno (also that
   of a failed execve). */
pid_t drover_spawn_program(const struct drover_program *_Nonnull request);

/* From now on `signal` only makes the eventfd readable. */
int drover_signal_to_eventfd(int signal, int descriptor);
/* Reaps one ended child without waiting: its pid, 0 when none has ended, -1 when there is none. */
pid_t drover_reap(pid_t pid, int *_Nonnull exit_code, int *_Nonnull signal);
/* CLOCK_BOOTTIME: goes on while the machine is suspended. */
uint64_t drover_boot_time_nanoseconds(void);
/* Replaces the program by another one in a new network namespace, with no signal blocked. With a `parent` the new program
   is killed when that process ends. Returns -1 with errno, or does not return. */
int drover_exec_in_new_network(const char *_Nonnull path, char *_Nullable const *_Nonnull arguments, pid_t parent);
/* A connected pair of packet sockets, close-on-exec and non-blocking. */
int drover_packet_pair(int *_Nonnull pair);

#endif
