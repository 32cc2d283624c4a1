"""What the end-to-end tests of CI, COS and MediaX share: settings for both services, and what goes wrong at them."""

from __future__ import annotations

from pathlib import Path

from tests.simulators.faults import bad_gateway, html_page, late, reset_after, reset_before, server_error
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, MediaxSimulator
from tests.simulators.mediax_stems import CONTENT_ID
from tests.simulators.tencent import TencentSimulator


def settings_for(service: MediaxSimulator, bucket: TencentSimulator, home: Path) -> dict[str, str]:
    """Return the variables with which the command uses both services, impatiently."""
    quick = {"POLL_FIRST": "0.1", "POLL_LONGEST": "0.3", "REGISTER_SECONDS": "0.5", "SLOTS": "20"}
    return {
        **bucket.environment(),
        "STEMBRIDGE_HOME": str(home),
        "STEMBRIDGE_PLUGINS": "mediax,tencent_ci,stagers",
        "STEMBRIDGE_JOBS_LEASE_SECONDS": "1.5",
        "STEMBRIDGE_MEDIAX_SECRET_ID": SECRET_ID,
        "STEMBRIDGE_MEDIAX_SECRET_KEY": SECRET_KEY,
        "STEMBRIDGE_MEDIAX_BASE_URL": service.url,
        "STEMBRIDGE_MEDIAX_CONTENT_ID": CONTENT_ID,
        **{f"STEMBRIDGE_{section}_{key}": text for section in ("MEDIAX", "TENCENT") for key, text in quick.items()},
    }


def disturb(service: MediaxSimulator, bucket: TencentSimulator) -> None:
    """Let answers of MediaX be lost, replaced or late, and the bucket fail, by chance and until ``soothe``."""
    for fault in (
        late("POST", "/job", seconds=0.3, times=None),
        reset_after("POST", "/job", probability=0.15, times=None),
        reset_before("POST", "/job", probability=0.05, times=None),
        html_page("POST", "/job", probability=0.05, after=True, times=None),
        server_error("POST", "/job", probability=0.05, after=True, times=None),
    ):
        service.faults.add(fault)
    for fault in (
        reset_after("PUT", probability=0.1, times=None),
        reset_after("DELETE", probability=0.2, times=None),
        bad_gateway("PUT", probability=0.1, times=None),
        bad_gateway("GET", "/stembridge/sb-*", probability=0.2, times=None),
        bad_gateway("HEAD", "/stembridge/sb-*", probability=0.2, times=None),
    ):
        bucket.faults.add(fault)


def soothe(service: MediaxSimulator, bucket: TencentSimulator) -> None:
    """End what ``disturb`` began."""
    service.faults.clear()
    bucket.faults.clear()
