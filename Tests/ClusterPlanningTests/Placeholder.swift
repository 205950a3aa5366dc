// ClusterPlanning
