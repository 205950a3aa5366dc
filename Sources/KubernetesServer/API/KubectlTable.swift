internal import Foundation
internal import JSON

/// Objects as the tables that `kubectl get` prints.
enum KubectlTable {
    static func table(
        of objects: [StoredObject],
        view: ResourceView,
        includeObject: String? = nil,
        now: Date
    ) -> JSONValue {
        TableFormat.table(
            of: objects.map { view.shown($0.value) },
            resource: view.resource,
            isCustom: view.definition.isCustom,
            printerColumns: view.schema.printerColumns,
            includeObject: includeObject.flatMap(TableFormat.IncludeObject.init(rawValue:)) ?? .metadata,
            now: now
        )
    }
}
