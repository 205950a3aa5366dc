import Certificates
import Foundation
import SeededRandom
import Testing

private let start = Date(timeIntervalSince1970: 1_800_000_000)
private let day: TimeInterval = 86400
private let lifetimes = CertificateLifetimes(authority: 900 * day, leaf: 90 * day, distribution: 7 * day, patience: 600)

private func state(
    _ phase: AuthorityRotation.Phase,
    steppedAt: Date = start,
    ends: TimeInterval = 450 * day,
    previousEnds: TimeInterval? = nil,
    request: String? = nil
) -> AuthorityRotation.State {
    AuthorityRotation.State(
        phase: phase,
        trust: "both",
        issuer: "new",
        began: start.addingTimeInterval(ends - 900 * day),
        ends: start.addingTimeInterval(ends),
        previousEnds: previousEnds.map { start.addingTimeInterval($0) },
        steppedAt: steppedAt,
        request: request
    )
}

private func holder(
    _ name: String = "orders-1",
    issuer: String? = "new",
    given: String? = "leaf",
    trusts: String? = "both",
    shows: String? = "leaf"
) -> AuthorityRotation.Holder {
    AuthorityRotation.Holder(name: name, issuer: issuer, given: given, loadedTrust: trusts, loaded: shows)
}

@Suite struct AuthorityRotationTests {
    private func step(
        _ state: AuthorityRotation.State,
        _ holders: [AuthorityRotation.Holder] = [],
        request: String? = nil,
        after seconds: TimeInterval = 0
    ) -> AuthorityRotation.Step {
        AuthorityRotation.step(
            state,
            holders: holders,
            request: request,
            lifetimes: lifetimes,
            now: start.addingTimeInterval(seconds)
        )
    }

    @Test(
        arguments: [
            (450.0, nil, nil, AuthorityRotation.Step.rest),
            (301.0, nil, nil, .rest),
            (299.0, nil, nil, .introduce),
            (450.0, "leaked", nil, .introduce),
            (450.0, "leaked", "leaked", .rest),
            (450.0, "leaked again", "leaked", .introduce),
            (450.0, "", nil, .rest),
        ] as [(Double, String?, String?, AuthorityRotation.Step)]
    )
    func beginsWhenAThirdIsLeftOrOnceForEachRequest(
        days: Double,
        request: String?,
        answered: String?,
        expected: AuthorityRotation.Step
    ) {
        #expect(self.step(state(.settled, ends: days * day, request: answered), request: request) == expected)
    }

    @Test func signsOnlyWhatEverybodyTrustsAndApplicationsHadTimeToRead() {
        let introduced = state(.introduced)
        let slow = holder("orders-2", trusts: "old")
        let due = start.addingTimeInterval(7 * day)
        #expect(
            self.step(introduced, [holder(), slow], after: 8 * day)
                == .wait(missing: ["orders-2"], until: nil, isLate: true)
        )
        #expect(
            self.step(introduced, [holder(), slow], after: 700)
                == .wait(missing: ["orders-2"], until: due, isLate: false)
        )
        #expect(self.step(introduced, [holder()], after: 700) == .wait(missing: [], until: due, isLate: false))
        #expect(self.step(introduced, [holder()], after: 8 * day) == .takeOver)
        // One that says nothing may trust anybody.
        #expect(
            self.step(introduced, [holder("orders-3", trusts: nil)], after: 8 * day)
                == .wait(missing: ["orders-3"], until: nil, isLate: true)
        )
    }

    @Test func anUrgentRequestWaitsForInstancesOnly() {
        let introduced = state(.introduced, request: "now: leaked")
        #expect(self.step(introduced, [holder()]) == .takeOver)
        #expect(
            self.step(introduced, [holder(trusts: "old")], after: 1)
                == .wait(missing: ["orders-1"], until: nil, isLate: false)
        )
    }

    @Test func goesOnWithoutTheSilentBeforeEverythingEnds() {
        let introduced = state(.introduced, ends: 20 * day)
        #expect(self.step(introduced, [holder(trusts: nil)], after: 4 * day) != .takeOver)
        #expect(self.step(introduced, [holder(trusts: nil)], after: 6 * day) == .takeOver)
    }

    @Test(arguments: [
        holder(issuer: "old"), holder(issuer: nil, given: nil), holder(shows: "another"), holder(shows: nil),
        holder(trusts: "old"),
    ])
    func dropsNobodyWhoseCertificateMayBeInUse(_ one: AuthorityRotation.Holder) {
        let takenOver = state(.takenOver, previousEnds: 100 * day)
        #expect(
            self.step(takenOver, [holder("orders-2"), one]) == .wait(missing: ["orders-1"], until: nil, isLate: false)
        )
        #expect(
            self.step(takenOver, [one], after: 601) == .wait(missing: ["orders-1"], until: nil, isLate: true)
        )
        #expect(self.step(takenOver, [holder("orders-2")]) == .drop)
        // Nothing that has ended is of use to anybody.
        #expect(self.step(takenOver, [one], after: 101 * day) == .drop)
    }

    @Test func aBundleChangesOnlyWithThoseInIt() throws {
        let one = try CertificateAuthority.make(commonName: "one", lifetime: 900 * day, now: start)
        let two = try CertificateAuthority.make(commonName: "two", lifetime: 900 * day, now: start)
        let settled = AuthoritySet(current: one, steppedAt: start)
        let introduced = settled.introducing(two, request: "now", now: start)
        let takenOver = introduced.takingOver(now: start)
        let dropped = takenOver.dropping(now: start)
        #expect(settled.trust != introduced.trust)
        #expect(introduced.trust == takenOver.trust)
        #expect(dropped.trust != takenOver.trust)
        #expect(settled.issuer == introduced.issuer)
        #expect(takenOver.issuer == dropped.issuer)
        #expect(
            [settled, introduced, takenOver, dropped].map(\.state.phase) == [
                .settled, .introduced, .takenOver, .settled,
            ]
        )
        #expect(dropped.request == "now")
        let leaf = try dropped.current.issue(
            CertificateRequest(commonName: "orders-1", usages: [.server], lifetime: day),
            now: start
        )
        let details = try CertificateDetails(pem: leaf.certificatePEM)
        #expect(try details.isIssued(byBundle: introduced.bundlePEM))
        #expect(try !details.isIssued(byBundle: settled.bundlePEM))
        #expect(try CertificateDetails.split(bundle: introduced.bundlePEM).count == 2)
    }

    /// Instances that load what they are given late, are made anew and fall silent, under an operator that goes by the
    /// rules: whoever shows a certificate is let in by everybody, at any time.
    @Test(arguments: 1...200 as ClosedRange<UInt64>)
    func nobodyIsEverRefused(seed: UInt64) {
        struct Instance {
            var given: (trusted: Set<Int>, issuer: Int, version: Int)
            var loaded: (trusted: Set<Int>, issuer: Int, version: Int)
            var isSilent = false
        }
        var random = SeededGenerator(seed: seed)
        var (current, next, previous, newest, version) = (1, Int?.none, Set<Int>(), 1, 0)
        var steppedAt = start
        var rotations = 0
        func trusted() -> Set<Int> { previous.union([current]).union(next.map { [$0] } ?? []) }
        func name(_ set: Set<Int>) -> String { set.sorted().map(String.init).joined(separator: "+") }
        var instances = (0..<4).map { _ in Instance(given: ([1], 1, 0), loaded: ([1], 1, 0)) }
        for minute in 0..<400 {
            let now = start.addingTimeInterval(TimeInterval(minute) * 60)
            for index in instances.indices {
                if minute >= 350 {
                    // All is well in the end.
                    version += 1
                    instances[index].given = (trusted(), current, version)
                    instances[index].loaded = instances[index].given
                    instances[index].isSilent = false
                    continue
                }
                switch Int.random(in: 0..<12, using: &random) {
                case 0..<4: instances[index].loaded = instances[index].given
                case 4: instances[index].isSilent.toggle()
                case 5 where !instances[index].isSilent:
                    // A new one begins with what is in its Secret.
                    instances[index].given = (trusted(), current, version + 1)
                    version += 1
                    instances[index].loaded = instances[index].given
                case 6..<10:
                    guard instances[index].given.trusted != trusted() || instances[index].given.issuer != current
                    else { break }
                    version += 1
                    instances[index].given = (trusted(), current, version)
                default: break
                }
            }
            let step = AuthorityRotation.step(
                AuthorityRotation.State(
                    phase: next != nil ? .introduced : previous.isEmpty ? .settled : .takenOver,
                    trust: name(trusted()),
                    issuer: String(current),
                    began: start,
                    ends: start.addingTimeInterval(900 * day),
                    previousEnds: previous.isEmpty ? nil : start.addingTimeInterval(900 * day),
                    steppedAt: steppedAt,
                    request: next == nil ? nil : "now"
                ),
                holders: instances.enumerated()
                    .map { number, instance in
                        AuthorityRotation.Holder(
                            name: String(number),
                            issuer: String(instance.given.issuer),
                            given: String(instance.given.version),
                            loadedTrust: instance.isSilent ? nil : name(instance.loaded.trusted),
                            loaded: instance.isSilent ? nil : String(instance.loaded.version)
                        )
                    },
                request: "now \(minute / 50)",
                lifetimes: lifetimes,
                now: now
            )
            switch step {
            case .introduce:
                newest += 1
                (next, steppedAt) = (newest, now)
            case .takeOver:
                previous.insert(current)
                (current, next, steppedAt) = (next ?? current, nil, now)
            case .drop:
                (previous, steppedAt) = ([], now)
                rotations += 1
            case .rest, .wait: break
            }
            for one in instances {
                for other in instances {
                    #expect(other.loaded.trusted.contains(one.loaded.issuer), "minute \(minute)")
                }
                #expect(trusted().contains(one.loaded.issuer), "the operator refuses an instance, minute \(minute)")
                #expect(one.loaded.trusted.contains(current), "an instance refuses the operator, minute \(minute)")
            }
        }
        #expect(rotations > 0)
    }
}
