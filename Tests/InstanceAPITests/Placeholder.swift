// InstanceAPI
