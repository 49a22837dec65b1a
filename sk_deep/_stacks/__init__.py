"""Many fits as one tensor program."""
