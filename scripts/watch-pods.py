#!/usr/bin/env python3
"""Lists and watches all pods with the package kubernetes of PyPI, until so many have changed; for bench informer."""
import json
import resource
import sys
import time

from kubernetes import client, config, watch


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1048576


config.load_kube_config(sys.argv[1])
changes = int(sys.argv[2])
api = client.CoreV1Api()
pods = {}
start = time.monotonic()
token = None
while True:
    page = api.list_pod_for_all_namespaces(limit=500, _continue=token)
    for pod in page.items:
        pods[(pod.metadata.namespace, pod.metadata.name)] = pod
    token = page.metadata._continue
    if not token:
        break
seconds, listed, size = time.monotonic() - start, cpu(), resident()
print("listed", flush=True)
seen = 0
for event in watch.Watch().stream(
    api.list_pod_for_all_namespaces, resource_version=page.metadata.resource_version
):
    if event["type"] == "MODIFIED":
        pod = event["object"]
        pods[(pod.metadata.namespace, pod.metadata.name)] = pod
        seen += 1
        if seen == changes:
            break
print(
    json.dumps(
        {
            "pods": len(pods),
            "listSeconds": round(seconds, 3),
            "listCPUSeconds": round(listed, 3),
            "residentMiB": round(size, 3),
            "peakMiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 3),
            "watchCPUMillisecondsPerChange": round((cpu() - listed) / seen * 1000, 3),
        }
    ),
    flush=True,
)
