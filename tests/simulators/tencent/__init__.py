"""Tencent Cloud COS and CI VoiceSeparate, simulated: node 0 has the objects, node 1 the jobs."""

from tests.simulators.tencent.service import TencentSimulator

__all__ = ["TencentSimulator"]
