"""Typed answers of the MVSEP API, tolerant of every drift its clients have met."""

from __future__ import annotations

from plugin_core.providers.mvsep.answers.account import (
    DemoEntry,
    HistoryEntry,
    NewsItem,
    Notice,
    QueuedJob,
    QueueState,
    QueueSummary,
    UsedAlgorithm,
    User,
)
from plugin_core.providers.mvsep.answers.jobs import Created, JobAnswer, Phase, ResultFile
from plugin_core.providers.mvsep.answers.quality import Leaderboard, QualityAdded, QualityEntry

__all__ = [
    "Created",
    "DemoEntry",
    "HistoryEntry",
    "JobAnswer",
    "Leaderboard",
    "NewsItem",
    "Notice",
    "Phase",
    "QualityAdded",
    "QualityEntry",
    "QueueState",
    "QueueSummary",
    "QueuedJob",
    "ResultFile",
    "UsedAlgorithm",
    "User",
]
