/// What goes wrong.
enum Fault: CaseIterable {
    case instanceKilled
    case postgresKilled
    case machineCrashed
    case machineGone
    case machineSuspended
    case machineCutOff
    case pairCutOff
    case controlPlaneCutOff
    case apiCutOff
    case peersCutOff
    case oneWayCutOff
    case operatorCutOff
    case apiDown
    case operatorKilled
    case twoLeaders
    case watchLags
    case messagesLost
    case messagesLate
    case clockJumps
    case supervisorFrozen
    case diskFull
    case nodeCordoned
    case cordonStorm
    case nodeDrained
    case everythingEvicted
    case podDeleted
    case leaseDeleted
    case apiRestored
    case durationChanged
    case scaled
}
