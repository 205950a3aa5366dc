// KubernetesServer
