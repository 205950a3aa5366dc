/// What is counted since the supervisor started, for `/metrics`.
struct InstanceCounters: Hashable {
    var starts = 0
    var promotions = 0
    var demotions = 0
    var fences = 0
    var clones = 0
    var rewinds = 0
    var leaseRenewals = 0
    var leaseFailures = 0
    var missedPromises = 0
}
