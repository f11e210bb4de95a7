"""The product's rows at the support desk: to look at, not to change."""

from django.contrib import admin

from accounts.blueprints.blueprint import Blueprint
from accounts.blueprints.connection import CloudConnection
from accounts.desk.read_only_admin import ReadOnlyAdmin


@admin.register(Blueprint)
class BlueprintAdmin(ReadOnlyAdmin):
    list_display = ["name", "account", "grid", "changed_at"]
    list_select_related = ["account"]
    exclude = ["components"]


@admin.register(CloudConnection)
class CloudConnectionAdmin(ReadOnlyAdmin):
    list_display = ["name", "provider", "account", "resources_at"]
    list_select_related = ["account"]
    exclude = ["resources"]
