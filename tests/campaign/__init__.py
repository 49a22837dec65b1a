"""Campaigns: thousands of bad inputs and faults, none of which may do harm.

`CAMPAIGNS` has them all, by name; ``python -m campaign`` runs them.
"""

from campaign import files, processes

CAMPAIGNS = {**files.CAMPAIGNS, **processes.CAMPAIGNS}
