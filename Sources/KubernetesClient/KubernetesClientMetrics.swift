internal import HTTPClient
internal import Metrics

/// What the clients of this process count.
struct KubernetesClientMetrics: Sendable {
    /// Requests by verb and answer; each try counts.
    ///
    /// `code` is the HTTP status, or the error's code when there was no answer. A watch counts when its head has come.
    static func answered(_ verb: String, code: String) {
        Counter(label: "drover_kubernetes_requests_total", dimensions: [("verb", verb), ("code", code)]).increment()
    }

    /// How long requests took, by verb, failed ones included and watches left out.
    static func took(_ verb: String, _ duration: Duration) {
        Timer(label: "drover_kubernetes_request_seconds", dimensions: [("verb", verb)])
            .record(duration: duration)
    }

    /// The verb of a method, from a bounded set.
    static func verb(_ method: HTTPMethod) -> String {
        switch method {
        case .get: "get"
        case .post: "post"
        case .put: "put"
        case .patch: "patch"
        case .delete: "delete"
        default: "other"
        }
    }
}
