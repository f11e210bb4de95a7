"""How often a row has been changed: counted by the database, so that whoever changes it, in whichever way, is counted.

For a model with a column `version`. An answer of the API tells it, and with it no two states of a row look the same.
"""

import pgtrigger


def counts_versions() -> pgtrigger.Trigger:
    """The trigger. What a statement itself says about the version does not count."""
    return pgtrigger.Trigger(
        name="counts_versions",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        func="NEW.version := OLD.version + 1; RETURN NEW;",
    )
