"""What this app adds to Offboard."""

from accounts.erasure.inventory import Keeper
from accounts.erasure.starting import ReasonToWait
from accounts.extension import Extension
from accounts.jobs.measures import Deadline
from accounts.support.routing import Router
from marketplace import certificate_words, export, personal_data, tombstone
from marketplace.aws import checks as aws_checks
from marketplace.aws import messages as aws_messages
from marketplace.aws import origin, sns_topics
from marketplace.aws import reconciliation as aws_reconciliation
from marketplace.aws import settings_note as aws_note
from marketplace.desk import actions, figures, panels
from marketplace.desk.first_steps import STEPS
from marketplace.event_kinds import MarketplaceEvent
from marketplace.event_types import MARKETPLACE_TYPES
from marketplace.github import checks as github_checks
from marketplace.github import messages as github_messages
from marketplace.github import reconciliation as github_reconciliation
from marketplace.github import settings_note as github_note
from marketplace.offboarding import offboarding, runner
from subscriptions.channels.channel_extension import ChannelExtension
from subscriptions.channels.settings_notes import NotesOfChannel
from subscriptions.subscription import Channel

EXTENSION = Extension(
    event_kinds=MarketplaceEvent,
    certificate_groups=certificate_words.GROUPS,
    messages=MARKETPLACE_TYPES,
    sweeps=(
        sns_topics.SWEEP,
        github_checks.SWEEP,
        aws_checks.SWEEP,
        runner.SWEEP,
        github_reconciliation.SWEEP,
        aws_reconciliation.SWEEP,
    ),
    invariants=(
        *sns_topics.INVARIANTS,
        *github_checks.INVARIANTS,
        *aws_checks.INVARIANTS,
        *origin.INVARIANTS,
        *runner.INVARIANTS,
        *tombstone.INVARIANTS,
    ),
    deadlines=(Deadline("offboarding", lambda _at: offboarding.Offboarding.objects.next_deadline()),),
    inbox_sources=(github_messages.SOURCE, aws_messages.SNS, aws_messages.EVENTS),
    personal_data=personal_data.PERSONAL_DATA,
    keepers=(Keeper("marketplace.Tombstone", personal_data.leave_tombstones),),
    reasons_to_wait=(ReasonToWait("github-answer", github_checks.purchase_to_be_confirmed),),
    export_parts=export.EXPORT_PARTS,
    deletion_obstacles=(aws_note.obstacle_to_deletion,),
    routers=(Router("aws-refund", aws_note.refund_route, (aws_note.REFUND,)),),
    actions=actions.ACTIONS,
    panels=panels.PANELS,
    figures=figures.FIGURES,
    first_steps=STEPS,
    finders=panels.FINDERS,
    also=(
        ChannelExtension(
            settings_notes=(
                NotesOfChannel(Channel.GITHUB_MARKETPLACE, github_note.note_for),
                NotesOfChannel(Channel.AWS_MARKETPLACE, aws_note.note_for),
            ),
            departures=figures.MARKETPLACE_DEPARTURES,
            returning=(offboarding.come_back,),
            holders=(aws_note.obstacle_to_buying,),
        ),
    ),
)
