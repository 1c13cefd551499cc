"""Alerts: one message for each thing that changed, none for what stays the same.

    how the sync went ─┐
    published marts ───┴─► findings ─► changes since a channel was last told ─► message
        ─► Apprise (Slack, Teams, mail, PagerDuty, webhooks, …) ─► what that channel was told

What is told and why, and where it is remembered: docs/decisions/0017-alerts.md.

    from m3ter_sync.alerts import tell
    tell(Location.of("data/warehouse.duckdb"), load_alert_settings(), now=datetime.now(UTC))
"""

from m3ter_sync.alerts.channels import Delivery, send_test
from m3ter_sync.alerts.memory import SyncNews
from m3ter_sync.alerts.telling import tell

__all__ = ["Delivery", "SyncNews", "send_test", "tell"]
