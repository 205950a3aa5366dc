internal import ArgumentParser
internal import Foundation
internal import KubernetesClient

extension TimeSpan: ExpressibleByArgument {
    init?(argument: String) { self.init(argument) }
}

/// A moment on the command line: RFC 3339, or a length of time from now on.
enum Moment: Sendable, Hashable, ExpressibleByArgument {
    case at(Date)
    case after(TimeSpan)

    init?(argument: String) {
        if let date = Timestamp(rawValue: argument).date {
            self = .at(date)
        } else if let span = TimeSpan(argument) {
            self = .after(span)
        } else {
            return nil
        }
    }

    func date(now: Date) -> Date {
        switch self {
        case .at(let date): date
        case .after(let span): now.addingTimeInterval(span.seconds)
        }
    }
}
