internal import Foundation

extension KubernetesConfiguration {
    /// Reads what every tool reads: the files of `KUBECONFIG`, else what a pod has, else `~/.kube/config`.
    /// - Parameter context: the context of the kubeconfig; nil for its current one.
    /// - Returns: the configuration.
    /// - Throws: ``KubernetesError`` of code `configuration` that says what is missing.
    public static func load(context: String? = nil) throws(KubernetesError) -> KubernetesConfiguration {
        try self.load(context: context, environment: ProcessInfo.processInfo.environment)
    }

    static func load(
        context: String?,
        environment: [String: String]
    ) throws(KubernetesError) -> KubernetesConfiguration {
        if let paths = environment["KUBECONFIG"], !paths.isEmpty {
            return try self.kubeconfig(paths: paths.split(separator: ":").map(String.init), context: context)
        }
        if context == nil, environment["KUBERNETES_SERVICE_HOST"] != nil,
            FileManager.default.fileExists(atPath: "\(Self.serviceAccountDirectory)/token")
        {
            return try self.inCluster(environment: environment)
        }
        let home = environment["HOME"] ?? "/root"
        let path = "\(home)/.kube/config"
        guard FileManager.default.fileExists(atPath: path) else {
            throw KubernetesError(
                code: .configuration,
                message: "no Kubernetes configuration: set KUBECONFIG, or run in a pod, or write \(path)"
            )
        }
        return try self.kubeconfig(paths: [path], context: context)
    }

    /// Reads a kubeconfig file.
    /// - Parameters:
    ///   - path: the file.
    ///   - context: the context; nil for the current one.
    /// - Returns: the configuration.
    /// - Throws: ``KubernetesError`` of code `configuration` that says what is wrong where.
    public static func kubeconfig(
        path: String,
        context: String? = nil
    ) throws(KubernetesError) -> KubernetesConfiguration {
        try self.kubeconfig(paths: [path], context: context)
    }

    /// Reads a kubeconfig from text; paths in it are relative to the working directory.
    /// - Throws: ``KubernetesError`` of code `configuration` that says what is wrong.
    public static func kubeconfig(
        yaml: String,
        context: String? = nil
    ) throws(KubernetesError) -> KubernetesConfiguration {
        try Kubeconfig(yaml: yaml, origin: "kubeconfig", directory: ".").configuration(context: context)
    }

    private static func kubeconfig(
        paths: [String],
        context: String?
    ) throws(KubernetesError) -> KubernetesConfiguration {
        var merged: Kubeconfig?
        for path in paths {
            // As kubectl: of several files those that do not exist are passed over.
            guard let data = FileManager.default.contents(atPath: path) else { continue }
            let directory = (path as NSString).deletingLastPathComponent
            let one = try Kubeconfig(
                yaml: String(decoding: data, as: UTF8.self),
                origin: path,
                directory: directory.isEmpty ? "." : directory
            )
            merged = merged?.merging(one) ?? one
        }
        guard let merged else {
            throw KubernetesError(
                code: .configuration,
                message: "cannot read the kubeconfig \(paths.joined(separator: ", "))"
            )
        }
        return try merged.configuration(context: context)
    }

    static let serviceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// What a pod has: the service account's rotating token and the cluster's certificate authority.
    /// - Throws: ``KubernetesError`` of code `configuration` when this is no pod, or one without a token.
    public static func inCluster() throws(KubernetesError) -> KubernetesConfiguration {
        try self.inCluster(environment: ProcessInfo.processInfo.environment)
    }

    static func inCluster(
        environment: [String: String],
        directory: String = KubernetesConfiguration.serviceAccountDirectory
    ) throws(KubernetesError) -> KubernetesConfiguration {
        guard let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty else {
            throw KubernetesError(
                code: .configuration,
                message: "KUBERNETES_SERVICE_HOST is not set: this process does not run in a pod"
            )
        }
        let port = environment["KUBERNETES_SERVICE_PORT"] ?? "443"
        guard FileManager.default.fileExists(atPath: "\(directory)/token") else {
            throw KubernetesError(
                code: .configuration,
                message: "\(directory)/token does not exist: does the pod mount its service account's token?"
            )
        }
        let namespace = FileManager.default.contents(atPath: "\(directory)/namespace")
            .map { String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines) }
        return KubernetesConfiguration(
            server: host.contains(":") ? "https://[\(host)]:\(port)" : "https://\(host):\(port)",
            namespace: namespace ?? "default",
            certificateAuthority: .file("\(directory)/ca.crt"),
            authentication: .token(.file("\(directory)/token"))
        )
    }
}
