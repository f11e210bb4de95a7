"""What the accounts of the demo have drawn and connected."""

from datetime import datetime

from accounts.blueprints.blueprint import Blueprint, Grid
from accounts.blueprints.connection import CloudConnection, CloudProvider
from accounts.customers.account import Account

SHOP = [
    {"id": "lb", "type": "elb", "label": "shop-lb", "x": 0, "y": 0, "links": ["web-1", "web-2"]},
    {"id": "web-1", "type": "ec2", "label": "web-1", "x": 3, "y": -1, "links": ["db"]},
    {"id": "web-2", "type": "ec2", "label": "web-2", "x": 3, "y": 2, "links": ["db"]},
    {"id": "db", "type": "rds", "label": "orders", "x": 6, "y": 0, "links": ["files"]},
    {"id": "files", "type": "s3", "label": "receipts", "x": 8, "y": 2, "links": []},
]
LAKE = [
    {"id": "in", "type": "lambda", "label": "ingest", "x": 0, "y": 0, "links": ["raw"]},
    {"id": "raw", "type": "s3", "label": "raw-events", "x": 3, "y": 0, "links": ["etl"]},
    {"id": "etl", "type": "vm", "label": "nightly-etl", "x": 6, "y": 1, "links": ["dwh"]},
    {"id": "dwh", "type": "sql", "label": "warehouse", "x": 9, "y": 1, "links": []},
]
INVENTORY = [
    {"id": f"i-{number:04}", "type": "ec2", "name": f"web-{number}", "region": "eu-west-1"} for number in range(1, 9)
]


def fill(account: Account, *, at: datetime, updated_at: datetime) -> None:
    """Three blueprints and three connections, last updated at `updated_at`, unless the account has some."""
    if Blueprint.objects.filter(account=account).exists():
        return
    for name, grid, components in (
        ("Web shop", Grid.STANDARD, SHOP),
        ("Data lake", Grid.INFINITE, LAKE),
        ("Everything we run", Grid.INFINITE, SHOP + [{**item, "y": item["y"] + 6} for item in LAKE]),  # type: ignore[operator]  # y is a number
    ):
        Blueprint.objects.create(account=account, name=name, grid=grid, components=components).redraw_thumbnail()
    for provider, name in (
        (CloudProvider.AWS, "production"),
        (CloudProvider.AWS, "staging"),
        (CloudProvider.AZURE, "analytics"),
    ):
        CloudConnection.objects.create(
            account=account,
            provider=provider,
            name=name,
            resources=INVENTORY,
            resources_at=updated_at,
        )
