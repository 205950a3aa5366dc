internal import Foundation
internal import HTTPClient

extension KubernetesError {
    init(_ error: HTTPClientError) {
        let code: Code =
            switch error.code {
            case .invalidRequest, .shutDown: .configuration
            case .nameNotFound, .connectFailed, .connectionLost, .internalFailure: .unreachable
            case .tlsFailed: .untrusted
            case .timedOut: .timeout
            case .tooLarge, .malformedResponse: .malformedAnswer
            case .cancelled: .cancelled
            }
        self.init(code: code, message: error.message, mayHaveBeenCarriedOut: error.requestWasSent)
    }

    /// Makes an error of an answer that is none of the 200s.
    init(httpStatus: Int, headers: HTTPHeaders, body: [UInt8]) {
        let status = try? JSONDecoder().decode(Status.self, from: Data(body))
        let isStatus = status?.status != nil || status?.reason != nil
        let text = String(decoding: body.prefix(200), as: UTF8.self)
        self.init(
            status: isStatus ? status : nil,
            httpStatus: httpStatus,
            message: (isStatus ? status?.message : nil) ?? (text.isEmpty ? "HTTP status \(httpStatus)" : text)
        )
        if let seconds = headers["Retry-After"].flatMap({ Int($0) }), seconds >= 0 {
            self.retryAfter = .seconds(min(seconds, 86_400))
        }
    }

    /// Makes an error of a `Status`, as it comes in a body or in a watch.
    init(status: Status?, httpStatus: Int?, message: String?) {
        let number = httpStatus ?? status?.code ?? 0
        self.init(
            code: Self.namesAnotherUID(status) ? .conflict : Self.code(reason: status?.reason, httpStatus: number),
            message: message ?? status?.message ?? status?.reason ?? "no details",
            status: status,
            httpStatus: number == 0 ? nil : number,
            retryAfter: status?.details?.retryAfterSeconds.map { .seconds(min(max($0, 0), 86_400)) }
        )
        // A proxy in front may say 502 or 504 of what the server behind it went on to do.
        self.mayHaveBeenCarriedOut = number >= 500
    }

    /// Whether a patch named the uid of an object that is gone, and another one has its name by now.
    ///
    /// An update with such a uid conflicts; a patch is called invalid, because the uid of an object cannot change
    /// (`ValidateObjectMetaUpdate` in k8s.io/apimachinery). To us it is the same: a precondition does not hold.
    private static func namesAnotherUID(_ status: Status?) -> Bool {
        status?.reason == "Invalid" && status?.details?.causes?.contains { $0.field == "metadata.uid" } == true
    }

    private static func code(reason: String?, httpStatus: Int) -> Code {
        switch reason {
        case "NotFound": return .notFound
        case "AlreadyExists": return .alreadyExists
        case "Conflict": return .conflict
        case "Gone", "Expired": return .expired
        case "TooManyRequests": return .tooManyRequests
        case "Forbidden": return .forbidden
        case "Unauthorized": return .unauthorized
        case "Invalid": return .invalid
        case "BadRequest": return .badRequest
        case "MethodNotAllowed": return .methodNotAllowed
        case "UnsupportedMediaType", "NotAcceptable": return .unsupportedMediaType
        case "RequestEntityTooLarge": return .requestTooLarge
        case "Timeout", "ServerTimeout": return .timeout
        case "ServiceUnavailable": return .serviceUnavailable
        case "InternalError": return .serverError
        default: break
        }
        switch httpStatus {
        case 400: return .badRequest
        case 401: return .unauthorized
        case 403: return .forbidden
        case 404: return .notFound
        case 405: return .methodNotAllowed
        case 406, 415: return .unsupportedMediaType
        case 409: return .conflict
        case 410: return .expired
        case 413: return .requestTooLarge
        case 422: return .invalid
        case 429: return .tooManyRequests
        case 503: return .serviceUnavailable
        case 504: return .timeout
        case 500...599: return .serverError
        default: return .other
        }
    }
}
