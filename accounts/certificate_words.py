"""How certificates of erasure call what this app, and the libraries below it, hold (`accounts.erasure`)."""

from django.utils.translation import gettext_lazy as _

from accounts.erasure.certificate_words import Group

GROUPS = (
    Group(
        "people",
        _("The account and its people"),
        20,
        (
            "accounts.Account",
            "accounts.User",
            "accounts.Membership",
            "accounts.Invitation",
            "accounts.OwnershipProposal",
            "accounts.UsageCount",
            "accounts.Export",
            "accounts.RemoteExport",
        ),
        {"accounts.Account": _("the account itself"), "accounts.Membership": _("places of people in the account")},
    ),
    Group(
        "signing-in",
        _("How they signed in"),
        30,
        (
            "accounts.Session",
            "account.EmailAddress",
            "account.EmailConfirmation",
            "mfa.Authenticator",
            "socialaccount.SocialAccount",
            "socialaccount.SocialToken",
            "accounts.User_groups",
            "accounts.User_user_permissions",
        ),
        {
            "mfa.Authenticator": _("second factors"),
            "socialaccount.SocialAccount": _("sign-ins through other services"),
            "socialaccount.SocialToken": _("keys to other services"),
            "accounts.User_groups": _("roles among staff"),
            "accounts.User_user_permissions": _("permissions among staff"),
        },
    ),
    Group(
        "support",
        _("Conversations with support"),
        40,
        ("accounts.SupportRequest", "accounts.Message", "accounts.InternalNote", "accounts.DeletionProposal"),
        {"accounts.SupportRequest": _("requests to support")},
    ),
    Group(
        "messages",
        _("Emails, and messages between systems"),
        50,
        ("accounts.Notice", "mail folder", "accounts.Delivery", "accounts.EventMessage", "accounts.Dispatch"),
        {
            "accounts.Notice": _("emails to people"),
            "mail folder": _("copies of emails in a folder"),
            "accounts.Delivery": _("messages from marketplaces and payment providers"),
            "accounts.EventMessage": _("messages to other systems"),
            "accounts.Dispatch": _("attempts to deliver them"),
        },
    ),
    Group("files", _("Files"), 60, ("files",), {"files": _("files, such as pictures and archives")}),
    Group(
        "staff",
        _("What our staff noted"),
        80,
        ("admin.LogEntry", "accounts.BulkRun", "accounts.BulkItem", "accounts.Hold", "accounts.StaffAction"),
        {
            "admin.LogEntry": _("entries in the log of the administration"),
            "accounts.Hold": _("holds"),
            "accounts.StaffAction": _("what staff did"),
        },
    ),
    Group(
        "kept",
        _("Records"),
        90,
        ("accounts.Event", "accounts.Purge", "accounts.PurgeObligation", "accounts.Certificate", "accounts.LastMail"),
        {
            "accounts.Event": _("the history of the account"),
            "accounts.Purge": _("that all was to be erased, and by when"),
            "accounts.PurgeObligation": _("why it was to be erased"),
            "accounts.Certificate": _("this certificate"),
            "accounts.LastMail": _("the address for the last email"),
        },
    ),
)
