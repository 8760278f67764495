"""The recipes hold what Ray, KubeRay, Docker and Slurm ask for."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
INTEGER = {"type": "integer", "minimum": 0}
POD = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["containers"],
            "properties": {
                "terminationGracePeriodSeconds": {"type": "integer", "minimum": 35},
                "securityContext": {
                    "type": "object",
                    "required": ["runAsNonRoot"],
                    "properties": {"runAsNonRoot": {"const": True}},
                },
                "containers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "object", "required": ["name", "image", "resources"]},
                },
            },
        }
    },
}
GROUP = {
    "type": "object",
    "additionalProperties": False,
    "required": ["rayStartParams", "template"],
    "properties": {
        "groupName": {"type": "string"},
        "replicas": INTEGER,
        "minReplicas": INTEGER,
        "maxReplicas": INTEGER,
        "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
        "template": POD,
    },
}
RAY_JOB = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["entrypoint", "rayClusterSpec"],
            "properties": {
                "entrypoint": {"type": "string"},
                "entrypointNumCpus": {"type": "number"},
                "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "SidecarMode"]},
                "backoffLimit": INTEGER,
                "shutdownAfterJobFinishes": {"type": "boolean"},
                "ttlSecondsAfterFinished": INTEGER,
                "rayClusterSpec": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["headGroupSpec"],
                    "properties": {
                        "rayVersion": {"type": "string"},
                        "authOptions": {
                            "type": "object",
                            "properties": {"mode": {"enum": ["disabled", "token"]}},
                        },
                        "enableInTreeAutoscaling": {"type": "boolean"},
                        "headGroupSpec": GROUP,
                        "workerGroupSpecs": {"type": "array", "items": GROUP},
                    },
                },
            },
        },
    },
}
"""The part of the ray.io/v1 resources that we use, after KubeRay's API reference."""


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


def test_the_cluster_of_own_machines_fits_rays_schema() -> None:
    found = find_spec("ray")
    assert found is not None
    assert found.origin is not None
    schema = json.loads((Path(found.origin).parent / "autoscaler/ray-schema.json").read_text())
    made = read("ray-cluster.yaml")
    jsonschema.validate(made, schema)
    starts = [*made["head_start_ray_commands"], *made["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token" in line for line in starts if "ray start" in line)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**made, "min_workers": 2}, schema)


def test_the_kubernetes_job_fits_the_resource_and_goes_on_after_a_preemption() -> None:
    made = read("kuberay-rayjob.yaml")
    jsonschema.validate(made, RAY_JOB)
    assert made["spec"]["backoffLimit"] > 0
    assert made["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    words = shlex.split(made["spec"]["entrypoint"])
    assert words[:2] == ["campaign", "run"]
    assert {"--address", "--results"} <= set(words)
    groups = [made["spec"]["rayClusterSpec"]["headGroupSpec"]]
    for group in groups + made["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        held = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= held
            assert container["resources"]["limits"] == container["resources"]["requests"]


def test_the_image_is_pinned_and_runs_as_nobody_special() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line and line[0] != "#"]
    known = {"FROM", "ARG", "RUN", "WORKDIR", "COPY", "USER", "ENV", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in lines} <= known
    held: dict[str, list[str]] = {}
    for word, rest in lines:
        held.setdefault(word, []).append(rest)
    assert re.fullmatch(r"python:3\.1[1-4]\.\d+-slim-\w+", held["FROM"][0])
    assert held["USER"][-1] not in ("root", "0")
    assert lines.index(["USER", held["USER"][-1]]) > max(
        place for place, (word, _) in enumerate(lines) if word == "RUN"
    )
    for rest in held["COPY"]:
        *sources, _ = rest.split()
        assert all((ROOT / source).exists() for source in sources), rest
    ray = re.search(r"ray\[default\]==([\d.]+)", held["RUN"][-1])
    assert ray is not None
    assert read("kuberay-rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == ray[1]


SRUN = """#!/bin/bash
# One task: what stands behind the options, on this machine.
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
RAY = """#!/bin/bash
# `ray symmetric-run OPTIONS -- COMMAND` without a cluster.
echo "ray $*" >>"$CALLS"
while [[ $1 != -- ]]; do shift; done
shift
"$@"
"""
SCONTROL = """#!/bin/bash
if [[ $1 == show ]]; then echo node1; echo node2; else echo "scontrol $*" >>"$CALLS"; fi
"""
CAMPAIGN = """#!/bin/bash
trap 'echo drained >>"$CALLS"; exit 143' TERM
echo "campaign $*" >>"$CALLS"
for _ in $(seq ${TURNS:-100}); do sleep 0.05; done
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("terminated", [False, True])
def test_slurm_runs_the_line_on_every_node_drains_and_queues_again(tmp_path, terminated) -> None:
    tools, calls = tmp_path / "bin", tmp_path / "calls"
    tools.mkdir()
    made = {"srun": SRUN, "ray": RAY, "scontrol": SCONTROL, "campaign": CAMPAIGN}
    for name, text in made.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    variables = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "CALLS": str(calls),
        "TMPDIR": str(tmp_path),
        "TURNS": "400" if terminated else "1",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_ID": "4711",
        "SLURM_CPUS_PER_TASK": "16",
    }
    line = ["bash", str(DEPLOY / "slurm.sbatch"), "a spec.yaml", "--results", "/shared/r"]
    with subprocess.Popen(line, env=variables, stderr=subprocess.PIPE, text=True) as job:
        while terminated and (not calls.exists() or "\ncampaign" not in calls.read_text()):
            assert job.poll() is None
            time.sleep(0.02)
        if terminated:
            job.terminate()
        _, err = job.communicate(timeout=60)
    told = calls.read_text().splitlines()
    assert told[0].startswith("ray symmetric-run --address node1:24711 --min-nodes 2 --num-cpus=16")
    assert told[1] == "campaign run a spec.yaml --results /shared/r"
    assert told[2:] == (["drained", "scontrol requeue 4711"] if terminated else [])
    assert job.returncode == (143 if terminated else 0), err
    assert not list(tmp_path.glob("*.pid"))
