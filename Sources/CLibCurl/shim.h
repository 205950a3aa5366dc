#ifndef DROVER_CLIBCURL_SHIM_H
#define DROVER_CLIBCURL_SHIM_H

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/*
 * libcurl's setters are variadic, which Swift cannot call, and the type of the argument matters: a `long` option that
 * is given an `int` reads garbage. So there is one wrapper for each C type (curl_easy_setopt(3), curl_multi_setopt(3)).
 */
static inline CURLcode drover_easy_setopt_long(CURL *_Nonnull handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode drover_easy_setopt_off(CURL *_Nonnull handle, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode drover_easy_setopt_string(CURL *_Nonnull handle, CURLoption option, const char *_Nullable value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode drover_easy_setopt_pointer(CURL *_Nonnull handle, CURLoption option, void *_Nullable value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode drover_easy_setopt_slist(CURL *_Nonnull handle, CURLoption option, struct curl_slist *_Nullable value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode drover_easy_setopt_blob(
    CURL *_Nonnull handle, CURLoption option, const void *_Nonnull bytes, size_t count
) {
    struct curl_blob blob = {.data = (void *)bytes, .len = count, .flags = CURL_BLOB_COPY};
    return curl_easy_setopt(handle, option, &blob);
}
typedef size_t (*drover_data_callback)(char *_Nonnull bytes, size_t size, size_t count, void *_Nullable context);
static inline CURLcode drover_easy_setopt_data(
    CURL *_Nonnull handle, CURLoption option, drover_data_callback _Nullable callback
) {
    return curl_easy_setopt(handle, option, callback);
}
static inline CURLcode drover_easy_getinfo_long(CURL *_Nonnull handle, CURLINFO info, long *_Nonnull value) {
    return curl_easy_getinfo(handle, info, value);
}
static inline CURLcode drover_easy_getinfo_off(CURL *_Nonnull handle, CURLINFO info, curl_off_t *_Nonnull value) {
    return curl_easy_getinfo(handle, info, value);
}
static inline CURLcode drover_easy_getinfo_pointer(CURL *_Nonnull handle, CURLINFO info, void *_Nullable *_Nonnull value) {
    return curl_easy_getinfo(handle, info, value);
}
static inline CURLMcode drover_multi_setopt_long(CURLM *_Nonnull multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}
static inline CURLMcode drover_multi_setopt_pointer(CURLM *_Nonnull multi, CURLMoption option, void *_Nullable value) {
    return curl_multi_setopt(multi, option, value);
}
typedef int (*drover_socket_callback)(
    CURL *_Nullable easy, curl_socket_t socket, int what, void *_Nullable context, void *_Nullable socketContext
);
static inline CURLMcode drover_multi_setopt_socket_function(
    CURLM *_Nonnull multi, drover_socket_callback _Nullable callback
) {
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, callback);
}
typedef int (*drover_timer_callback)(CURLM *_Nonnull multi, long milliseconds, void *_Nullable context);
static inline CURLMcode drover_multi_setopt_timer_function(
    CURLM *_Nonnull multi, drover_timer_callback _Nullable callback
) {
    return curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, callback);
}

/*
 * Sockets that no child process inherits, and that notice a peer which has gone silent with our bytes unacknowledged
 * (TCP_USER_TIMEOUT, tcp(7)); without it the kernel goes on for a quarter of an hour.
 */
static inline curl_socket_t drover_open_socket(
    void *_Nullable context, curlsocktype purpose, struct curl_sockaddr *_Nonnull address
) {
    (void)context;
    (void)purpose;
    curl_socket_t descriptor = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (descriptor >= 0) {
        unsigned int milliseconds = 20000;
        (void)setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof(milliseconds));
    }
    return descriptor;
}
static inline CURLcode drover_easy_setopt_open_socket(CURL *_Nonnull handle) {
    return curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, drover_open_socket);
}

/* A finished transfer, without the union in `CURLMsg` that Swift imports badly. */
struct drover_finished {
    CURL *_Nullable handle;
    CURLcode result;
};
static inline struct drover_finished drover_multi_next_finished(CURLM *_Nonnull multi) {
    struct drover_finished finished = {0};
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &left))) {
        if (message->msg == CURLMSG_DONE) {
            finished.handle = message->easy_handle;
            finished.result = message->data.result;
            return finished;
        }
    }
    return finished;
}

#endif
