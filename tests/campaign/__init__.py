"""Campaigns: thousands of bad inputs and faults, none of which may do harm.

`CAMPAIGNS` has them all, by name; ``python -m campaign`` runs them.
"""

from campaign import files, inputs, processes, relations

CAMPAIGNS = {
    **inputs.CAMPAIGNS,
    **relations.CAMPAIGNS,
    **files.CAMPAIGNS,
    **processes.CAMPAIGNS,
}
