// KubernetesController
