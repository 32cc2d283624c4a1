"""Every path below ``/api/`` with who answers it, by method."""

from __future__ import annotations

from typing import Final

from tests.simulators.mvsep import application, quality
from tests.simulators.mvsep.creation import create
from tests.simulators.mvsep.remotes import get_remote
from tests.simulators.mvsep.service import Endpoint
from tests.simulators.mvsep.statuses import cancel, delete, get

_REGISTER = application.checked(application.register)
_ALERT: dict[str, Endpoint] = {"GET": application.show_credit_alert, "POST": application.set_credit_alert}

ENDPOINTS: Final[dict[str, dict[str, Endpoint]]] = {
    "separation/create": {"POST": create},
    "separation/get": {"GET": get},
    "separation/get-remote": {"GET": get_remote},
    "separation/cancel": {"POST": cancel},
    "separation/delete": {"POST": delete},
    "app/algorithms": {"GET": application.list_algorithms},
    "app/news": {"GET": application.list_news},
    "app/queue": {"GET": application.show_queue},
    "app/queue/summary": {"GET": application.summarise_queue},
    "app/demo": {"GET": application.list_demos},
    "app/login": {"POST": application.checked(application.log_in)},
    "app/register": {"POST": _REGISTER, "GET": _REGISTER},
    "app/user": {"GET": application.show_user},
    "app/separation_history": {"GET": application.list_history},
    "app/enable_premium": {"POST": application.switch("is_premium", True)},
    "app/disable_premium": {"POST": application.switch("is_premium", False)},
    "app/enable_long_filenames": {"POST": application.switch("long_filenames", True)},
    "app/disable_long_filenames": {"POST": application.switch("long_filenames", False)},
    "app/purchases": {"GET": application.list_purchases},
    "app/credit_alert": _ALERT,
    "quality_checker/queue": {"GET": quality.list_queue},
    "quality_checker/leaderboard": {"GET": quality.list_leaders},
    "quality_checker/entry": {"GET": quality.show_entry},
    "quality_checker/add": {"POST": quality.add_entry},
    "quality_checker/delete": {"POST": quality.delete_entry, "GET": quality.delete_entry},
}
